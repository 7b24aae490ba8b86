#!/bin/sh
# Checks what is in deploy/: manifests against the strict schemas of Kubernetes, units with systemd.
# Installs its one Python package into target/venv. DORMOUSE_BIN=target/release/dormouse also checks that
# the binary knows every flag that is used here.
set -eu
cd "$(dirname "$0")/.."

venv=target/venv
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "deploy: SKIPPED, there is no python3 with venv and pip" >&2
    exit 0
fi
if ! cmp -s deploy/requirements.txt "$venv/installed.txt"; then
    mkdir -p target
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement deploy/requirements.txt
    cp deploy/requirements.txt "$venv/installed.txt"
fi
exec "$venv/bin/python" deploy/check.py
