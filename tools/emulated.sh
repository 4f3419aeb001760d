#!/usr/bin/env bash
# Makes a program for arm64 one that runs here: tools/emulated.sh ROOT PROGRAM
#
# PROGRAM becomes a script that has qemu run what PROGRAM was, with its libraries from ROOT. What starts
# it, as a child or through a link, sees no emulator. $ARM64_CPU names the CPU (qemu's `max`).
set -euo pipefail

root=$1 program=$2
mv "$program" "$program.arm64"
cat >"$program" <<END
#!/bin/sh
exec qemu-aarch64-static -L '$root' -cpu "\${ARM64_CPU:-max}" -0 "\$0" '$program.arm64' "\$@"
END
chmod +x "$program"
