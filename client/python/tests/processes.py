"""Real processes: a whole cluster by ``dormouse dev``, or a coordinator and an agent that can be killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Optional

import pytest

NODES = 2
END_LIMIT_S = 30.0


def _program() -> str:
    program = os.environ.get("DORMOUSE_BIN")
    if not program:
        pytest.skip("DORMOUSE_BIN names no binary of dormouse, so there are no real processes to ask")
    return os.path.abspath(program)


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("DORMOUSE_")}


class Cluster:
    """A coordinator and two agents, up within ``with``. If one of them dies, so do the others."""

    def __init__(self) -> None:
        self._program = _program()
        self._process: Optional[subprocess.Popen[str]] = None
        self.coordinator = ""
        self.agents: list[str] = []

    def __enter__(self) -> Cluster:
        command = [self._program, "dev", "-o", "json", "--nodes", str(NODES), "--racks", "1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment(), text=True)
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


class Pair:
    """A coordinator and one agent, up within ``with``; each can be killed and started again."""

    def __init__(self, data: Path) -> None:
        program = _program()
        coordinator, agent = (f"127.0.0.1:{port}" for port in _free_ports(2))
        self.coordinator, self.agent = f"http://{coordinator}", f"http://{agent}"
        self._commands = {
            "coordinator": [program, "server", "--listen", coordinator, "--data", str(data / "coordinator")],
            "agent": [
                *(program, "agent", "--node", "n1", "--rack", "r1", "--listen", agent),
                *("--coordinator", self.coordinator, "--data", str(data / "agent")),
            ],
        }
        self._log = data / "log"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Pair:
        for name in self._commands:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.kill(name)

    def start(self, name: str) -> None:
        with self._log.open("ab") as log:
            self._running[name] = subprocess.Popen(self._commands[name], stdout=log, stderr=log, env=_environment())

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait(END_LIMIT_S)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports
