#!/usr/bin/env bash
# Builds a free-threaded CPython from Debian's source package:
# tools/free_threaded.sh FOLDER [OPTION OF CONFIGURE...]
#
# It takes about six minutes of one core; FOLDER/bin/python3.14t is there afterwards, with what the
# concurrency tests need. A second run finds it and does nothing.
set -euo pipefail

release=3.14.7
sha256=3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81
folder=$(mkdir -p "$1" && cd "$1" && pwd)
python=$folder/bin/python3.14t
shift

# ThreadSanitizer, where configure was asked for it, wants its addresses where they always are; the
# races of a build are nobody's.
quietly() { TSAN_OPTIONS=report_bugs=0 setarch -R "$@" >/dev/null; }

if [ ! -e "$folder/complete" ]; then
    mirror=$(apt-get indextargets --format '$(SITE)' | grep -m1 'debian$')
    archive=python3.14_$release.orig.tar.xz
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    curl -fsS -o "$work/$archive" "$mirror/pool/main/p/python3.14/$archive"
    echo "$sha256  $work/$archive" | sha256sum --check --quiet
    tar -C "$work" -xf "$work/$archive"
    cd "$work/Python-$release"
    quietly ./configure -q --disable-gil --prefix="$folder" "$@"
    quietly make -s -j"${JOBS:-1}"
    quietly make -s install COMPILEALL_OPTS=-l  # what is used is compiled when it is
    # What CPython knows of its own races.
    install -m 644 Tools/tsan/suppressions_free_threading.txt "$folder/tsan_suppressions.txt"
    quietly "$python" -m pip install -q --disable-pip-version-check --root-user-action=ignore \
        --only-binary=:all: pytest pytest-timeout hypothesis pycryptodome
    touch "$folder/complete"
fi
echo "$python"
