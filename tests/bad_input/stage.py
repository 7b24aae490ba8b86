"""A coordinator and two agents as processes, and whether they are still well."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
from dormouse.v1 import timer_pb2 as pb
from dormouse.v1 import timer_pb2_grpc, worker_pb2_grpc

NODES = 2
MEMORY_GROWTH_MAX = 128 << 20
"""No stated length is allocated: whatever is sent, a process grows by no more than this, in bytes."""
HEALTH_LIMIT_S = 20


@dataclass
class Member:
    """One process, and raw stubs for it."""

    name: str
    address: str
    pid: int

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(self.address, options=[("grpc.max_send_message_length", -1)])
        self.timers = timer_pb2_grpc.TimerServiceStub(self.channel)
        self.workers = worker_pb2_grpc.WorkerServiceStub(self.channel)
        self.memory_before = self.memory_peak()

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, port = self.address.rsplit(":", 1)
        return host, int(port)

    def memory_peak(self) -> int:
        """The largest resident size so far, in bytes; raises if the process is gone."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


class Stage:
    """Up within ``with``; has a timer from the beginning, which must be there until the end."""

    def __enter__(self) -> Stage:
        self._said = tempfile.TemporaryFile("w+")
        environment = {**os.environ, "DORMOUSE_LOG": "warn"}
        environment.pop("DORMOUSE_ADDR", None)
        command = [os.environ["DORMOUSE_BIN"], "dev", "-o", "json", "--nodes", str(NODES), "--racks", "1", "--verbose"]
        self._dev = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._said, env=environment, text=True)
        shown = [json.loads(self._dev.stdout.readline()) for _ in range(NODES + 1)]
        members = [Member(it["name"], it["address"].removeprefix("http://"), it["pid"]) for it in shown]
        self.coordinator, self.agent, self.other_agent = members
        self.members = members
        request = pb.CreateTimerRequest(timer_id="earlier", timer={"schedule": {"after": {"seconds": 86_400}}})
        request.timer.target.handler.name = "nobody"
        self.earlier = self.agent.timers.CreateTimer(request, timeout=HEALTH_LIMIT_S).timer
        return self

    def __exit__(self, *_: object) -> None:
        self._dev.send_signal(signal.SIGINT)
        try:
            self._dev.wait(30)
        finally:
            self._dev.kill()
            self._dev.stdout.close()
            self._said.close()

    def ills(self) -> list[str]:
        """What is wrong with the processes; nothing if they answer as before."""
        ills = []
        if self._dev.poll() is not None:
            return ["the cluster has ended"]
        for member in self.members:
            ills += [f"{member.name}: {ill}" for ill in self._ills_of(member)]
        self._said.seek(0)
        ills += [f"it says: {line.strip()}" for line in self._said if "panicked" in line]
        return ills

    def _ills_of(self, member: Member) -> list[str]:
        try:
            grown = member.memory_peak() - member.memory_before
        except OSError:
            return ["the process is gone"]
        ills = [] if grown <= MEMORY_GROWTH_MAX else [f"it has grown by {grown >> 20} MiB"]
        # A connection of its own: the one before may have been ended on purpose.
        with grpc.insecure_channel(member.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            timers = timer_pb2_grpc.TimerServiceStub(channel)
            request = pb.GetTimerRequest(name=self.earlier.name)
            begun = time.monotonic()
            try:
                found = timers.GetTimer(request, timeout=HEALTH_LIMIT_S, wait_for_ready=True).timer
            except grpc.RpcError as error:
                return [*ills, f"it does not answer: {error.code().name} {error.details()}"]
        if (found.uid, found.etag, found.state) != (self.earlier.uid, self.earlier.etag, self.earlier.state):
            ills.append(f"the earlier timer has changed: {found}")
        if time.monotonic() - begun > HEALTH_LIMIT_S / 2:
            ills.append("it takes long to answer")
        return ills
