#!/bin/sh
# Everything that must hold of the Python client. Installs what is pinned into target/python-venv.
# With DORMOUSE_BIN=target/release/dormouse it is also tried against real processes; arguments go to pytest.
set -eu
cd "$(dirname "$0")"

venv=../../target/python-venv
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "client/python: SKIPPED, there is no python3 with venv and pip" >&2
    exit 0
fi
if [ -n "${DORMOUSE_BIN:-}" ]; then
    # It may be said relative to where this was called from.
    case $DORMOUSE_BIN in
    /*) ;;
    *) DORMOUSE_BIN=$OLDPWD/$DORMOUSE_BIN ;;
    esac
    export DORMOUSE_BIN
fi
if ! cat requirements-dev.txt pyproject.toml | cmp -s - "$venv/installed.txt"; then
    mkdir -p ../../target
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements-dev.txt
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    cat requirements-dev.txt pyproject.toml >"$venv/installed.txt"
fi
# The plugins of protoc are programs.
PATH=$(cd "$venv/bin" && pwd):$PATH
export PATH
ruff check .
ruff format --check .
mypy
exec pytest -q "$@"
