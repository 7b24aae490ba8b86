#!/usr/bin/env python3
"""Writes src/dormouse/v1/ from proto/dormouse/v1/*.proto, so that users of the package need no protoc.

google/rpc/status.proto is read but not written: its module comes with googleapis-common-protos, and a second one would
clash with that. group.proto is left out: it is between agents and coordinator only.

`generate.py --check` writes nothing, and fails if what is committed is not what it would write.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
PACKAGE = Path("dormouse/v1")
COMMITTED = HERE / "src" / PACKAGE
HEADER = '"""The wire: generated from proto/dormouse/v1 by generate.py, never edited."""\n'


def generate(into: Path) -> dict[str, str]:
    """The files by name, written below `into` on the way."""
    found = sorted((PROTO / PACKAGE).glob("*.proto"))
    protos = [str(path.relative_to(PROTO)) for path in found if path.name != "group.proto"]
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
        f"--python_out={into}",
        f"--mypy_out=quiet:{into}",
        f"--grpc_python_out={into}",
        f"--mypy_grpc_out=quiet:{into}",
        *protos,
    ]
    # The plugins are programs beside this Python, also where its environment was not activated.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    files = {path.name: path.read_text() for path in (into / PACKAGE).iterdir()}
    return {**files, "__init__.py": HEADER}


def differing(files: dict[str, str]) -> list[str]:
    """The names of committed files that are missing, stale, or too many."""
    found = {path.name: path.read_text() for path in COMMITTED.iterdir() if path.is_file()}
    return sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and say whether the files are up to date")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        files = generate(Path(directory))
    stale = differing(files)
    if arguments.check:
        for name in stale:
            print(f"{COMMITTED / name} is not up to date; run generate.py", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        if name in files:
            (COMMITTED / name).write_text(files[name])
        else:
            (COMMITTED / name).unlink()
    print(f"{len(stale)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
