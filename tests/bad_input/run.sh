#!/bin/sh
# Bad input over the wire, from a client that is not ours: DORMOUSE_BIN=target/release/dormouse tests/bad_input/run.sh
# Arguments are words: only groups whose names contain one of them are run. Installs into target/bad-input.
set -eu
: "${DORMOUSE_BIN:?says which binary of dormouse is tried}"
DORMOUSE_BIN=$(realpath "$DORMOUSE_BIN")
export DORMOUSE_BIN
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=$root/target/bad-input
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "bad input: SKIPPED, there is no python3 with venv and pip" >&2
    exit 0
fi
if ! cmp -s "$here/requirements.txt" "$target/installed.txt"; then
    mkdir -p "$target"
    python3 -m venv --clear "$target/venv"
    "$target/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$target/installed.txt"
fi
# The raw stubs are made anew each time: nothing of our own clients is used.
rm -rf "$target/stubs"
mkdir -p "$target/stubs"
"$target/venv/bin/python" -m grpc_tools.protoc -I"$root/proto" --python_out="$target/stubs" \
    --grpc_python_out="$target/stubs" "$root"/proto/dormouse/v1/*.proto
cd "$here"
export PYTHONPATH="$target/stubs:$here" PYTHONDONTWRITEBYTECODE=1
exec "$target/venv/bin/python" -m check "$@"
