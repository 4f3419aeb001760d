#!/bin/sh
# Whether actionlint can be built: Go 1.25 or later. Says what to install, and fails, if not.

wants='`make lint` needs Go 1.25 or later (https://go.dev), for actionlint; Debian 12 has 1.19.'
if ! command -v go >/dev/null; then
    echo "pysframe: go was not found. $wants" >&2
    exit 1
fi
version=$(GOTOOLCHAIN=local go env GOVERSION)
minor=$(echo "$version" | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ "${minor:-0}" -ge 25 ] || {
    echo "pysframe: go is $version. $wants" >&2
    exit 1
}
