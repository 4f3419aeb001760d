#!/bin/sh
# Whether web/ can be built: Node 20.9 or later, with npm. Says what to install, and fails, if not.

wants='web/ needs Node 20.9 or later, with npm (https://nodejs.org); Debian 12 has 18.'
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "pysframe: node or npm was not found. $wants" >&2
    exit 1
fi
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 9) ? 0 : 1)' || {
    echo "pysframe: node is $(node --version). $wants" >&2
    exit 1
}
