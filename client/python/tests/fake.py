"""An agent that the test plays, in this process: it hears what clients say, and answers what it is told to."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Callable, Iterable, Optional

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

import dormouse
from dormouse.v1 import timer_pb2 as pb
from dormouse.v1 import timer_pb2_grpc, worker_pb2_grpc
from dormouse.v1 import worker_pb2 as wpb

LIMIT_S = 5.0
"""How long anything may take that is expected."""


class Refusal(Exception):
    """What the agent answers instead."""

    def __init__(self, code: grpc.StatusCode, message: str, details: Iterable[Message] = ()) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)
            self.status.details.append(packed)

    async def abort(self, context: Any) -> None:
        details = (("grpc-status-details-bin", self.status.SerializeToString()),) if self.status.details else ()
        await context.abort(self.code, self.message, details)


def bad_request(*fields: str) -> Refusal:
    violations = [error_details_pb2.BadRequest.FieldViolation(field=it, description="is wrong") for it in fields]
    details = [error_details_pb2.BadRequest(field_violations=violations)]
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "several things are wrong", details)


def later(millis: int) -> Refusal:
    info = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=millis * 1_000_000))
    return Refusal(grpc.StatusCode.UNAVAILABLE, "its home does not answer", [info])


class WorkStream:
    """One stream of a worker, from the agent's side."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Optional[wpb.WorkRequest]] = asyncio.Queue()
        self.said: asyncio.Queue[Optional[wpb.WorkResponse]] = asyncio.Queue()

    async def hear(self) -> wpb.WorkRequest:
        heard = await asyncio.wait_for(self.heard.get(), LIMIT_S)
        assert heard is not None, "the worker has left"
        return heard

    async def hear_nothing(self, for_s: float) -> None:
        try:
            heard = await asyncio.wait_for(self.heard.get(), for_s)
        except asyncio.TimeoutError:
            return
        raise AssertionError(f"it heard {heard}")

    async def hear_end(self) -> None:
        """The rest is dropped until the worker has left."""
        while await asyncio.wait_for(self.heard.get(), LIMIT_S) is not None:
            pass

    async def accept(self) -> wpb.Attach:
        heard = await self.hear()
        assert heard.WhichOneof("message") == "attach", heard
        self.say(wpb.WorkResponse(attached=wpb.Attached(node="n1", pool="p")))
        return heard.attach

    def fire(self, token: int, **fields: Any) -> None:
        self.say(wpb.WorkResponse(fire=wpb.Fire(run=run(token, **fields))))

    def withdraw(self, token: int) -> None:
        self.say(wpb.WorkResponse(withdraw=wpb.Withdraw(run=f"{token:016x}", token=token)))

    def say(self, response: wpb.WorkResponse) -> None:
        self.said.put_nowait(response)

    def end(self) -> None:
        self.said.put_nowait(None)


def run(token: int, **fields: Any) -> wpb.Run:
    now = Timestamp(seconds=1_800_000_000, nanos=5_000_000)
    made = wpb.Run(
        timer="pools/p/timers/t",
        run=f"{token:016x}",
        token=token,
        attempt=1,
        handler="h",
        nominal_time=now,
        due_time=now,
        launched_time=now,
        attempt_timeout=Duration(seconds=60),
    )
    for name in fields:
        made.ClearField(name)  # type: ignore[arg-type]
    made.MergeFrom(wpb.Run(**fields))
    return made


# The methods that only answer are added below, where nobody who checks types sees them.
_Services: Any = type("Services", (timer_pb2_grpc.TimerServiceServicer, worker_pb2_grpc.WorkerServiceServicer), {})


class Agent(_Services):  # type: ignore[misc]
    """Answers each call with the next of its answers; keeps every request."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        """Each a message, a Refusal, or a list of both for a stream."""
        self.requests: list[Any] = []
        self.streams: asyncio.Queue[WorkStream] = asyncio.Queue()
        self._server: Optional[grpc.aio.Server] = None
        self.port = 0

    async def start(self, *further: str) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        timer_pb2_grpc.add_TimerServiceServicer_to_server(self, self._server)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        for address in further:
            self._server.add_insecure_port(address)
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **settings: Any) -> dormouse.Client:
        return dormouse.Client(self.address, **settings)

    async def stream(self) -> WorkStream:
        return await asyncio.wait_for(self.streams.get(), LIMIT_S)

    async def _answer(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Refusal):
            await answer.abort(context)
        return answer

    async def WatchTimers(self, request: Any, context: Any) -> AsyncIterator[pb.WatchTimersResponse]:
        self.requests.append(request)
        for answer in self.answers.pop(0):
            if isinstance(answer, Refusal):
                await answer.abort(context)
            yield answer

    async def Work(self, requests: Any, context: Any) -> AsyncIterator[wpb.WorkResponse]:
        stream = WorkStream()
        self.streams.put_nowait(stream)

        async def hear() -> None:
            try:
                async for request in requests:
                    stream.heard.put_nowait(request)
            finally:
                stream.heard.put_nowait(None)

        hearing = asyncio.ensure_future(hear())
        try:
            while True:
                said = await stream.said.get()
                if said is None:
                    return
                yield said
        finally:
            hearing.cancel()


def _answering(name: str) -> Callable[..., Any]:
    async def method(self: Agent, request: Any, context: Any) -> Any:
        return await self._answer(request, context)

    method.__name__ = name
    return method


for _method in pb.DESCRIPTOR.services_by_name["TimerService"].methods:
    if _method.name not in ("WatchTimers", "Pipeline"):
        setattr(Agent, _method.name, _answering(_method.name))
