#!/usr/bin/env bash
# Builds a free-threaded CPython from Debian's source package: tools/free_threaded.sh FOLDER
#
# It takes about six minutes of one core; FOLDER/bin/python3.14t is there afterwards, with what the
# concurrency tests need. A second run finds it and does nothing.
set -euo pipefail

release=3.14.7
sha256=3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81
folder=$(mkdir -p "$1" && cd "$1" && pwd)
python=$folder/bin/python3.14t

if [ ! -x "$python" ]; then
    mirror=$(apt-get indextargets --format '$(SITE)' | grep -m1 'debian$')
    archive=python3.14_$release.orig.tar.xz
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    curl -fsS -o "$work/$archive" "$mirror/pool/main/p/python3.14/$archive"
    echo "$sha256  $work/$archive" | sha256sum --check --quiet
    tar -C "$work" -xf "$work/$archive"
    cd "$work/Python-$release"
    ./configure -q --disable-gil --prefix="$folder" >/dev/null
    make -s -j"${JOBS:-1}" >/dev/null
    make -s install >/dev/null
fi
"$python" -m pip install -q --disable-pip-version-check --only-binary=:all: \
    pytest pytest-timeout hypothesis pycryptodome
echo "$python"
