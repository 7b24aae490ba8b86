"""A coordinator and two agents as real processes, by ``dormouse dev``; it finds free ports by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from types import TracebackType
from typing import Optional

import pytest

NODES = 2
END_LIMIT_S = 30.0


class Cluster:
    """Up within ``with``."""

    def __init__(self) -> None:
        program = os.environ.get("DORMOUSE_BIN")
        if not program:
            pytest.skip("DORMOUSE_BIN names no binary of dormouse, so there are no real processes to ask")
        self._program = os.path.abspath(program)
        self._process: Optional[subprocess.Popen[str]] = None
        self.coordinator = ""
        self.agents: list[str] = []

    def __enter__(self) -> Cluster:
        command = [self._program, "dev", "-o", "json", "--nodes", str(NODES), "--racks", "1"]
        environment = {key: value for key, value in os.environ.items() if key != "DORMOUSE_ADDR"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert self._process.stdout is not None
        shown = [json.loads(self._process.stdout.readline()) for _ in range(NODES + 1)]
        self.coordinator = shown[0]["address"]
        self.agents = [it["address"] for it in shown[1:]]
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(END_LIMIT_S)
        finally:
            self._process.kill()
            self._process.stdout.close()
