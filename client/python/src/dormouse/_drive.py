"""The worker's loop: one stream after the other, and everything that is in flight.

A run belongs to the stream on which it came. If that breaks, the agent counts the runner as dead and starts another
attempt, so the right to the run is over: its handler is cancelled, and takes its place until it has ended.
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, AsyncIterator, Coroutine, Mapping, Optional

import grpc

from . import _wire, errors
from ._channel import LOG, Calls
from ._retry import full_jitter_s
from ._times import duration_from_wire, duration_to_wire, timestamp_from_wire
from .errors import BadAnswer
from .v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from .worker import Handler, Run

_OPEN_TIMEOUT_S = 10.0
"""How long an agent may take to accept a stream."""
_FAREWELL_S = 2.0
"""How long a stopped worker that has settled everything waits for the agent to end the stream."""
_ATTEMPT_TIMEOUT = timedelta(seconds=60)
"""If the agent did not say."""
_HEARTBEAT_MIN_S = 0.01
_REASON_BYTES_MAX = 1024
_RETRY_AFTER_MAX = timedelta(days=3650)

Attempt = tuple[str, int]
"""A run and its token."""


class Flag:
    """An event that may be made and set before there is a loop."""

    def __init__(self) -> None:
        self._is_set = False
        self._event: Optional[asyncio.Event] = None

    def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()

    def is_set(self) -> bool:
        return self._is_set

    async def wait(self) -> None:
        if self._is_set:
            return
        if self._event is None:
            self._event = asyncio.Event()
        await self._event.wait()


@dataclass(frozen=True)
class Work:
    """What a worker is made of."""

    calls: Calls
    handlers: Mapping[str, Handler]
    concurrency: int
    grace_s: float
    stop: Flag
    attached: Flag


class Stream:
    """One stream: its way up, never waiting for a slow agent, and how far it is."""

    def __init__(self) -> None:
        self.attached = Flag()
        self.is_open = True
        self._outbox: asyncio.Queue[pb.WorkRequest] = asyncio.Queue()

    async def requests(self) -> AsyncIterator[pb.WorkRequest]:
        """What goes up, until whoever reads it is cancelled with the call."""
        while True:
            yield await self._outbox.get()

    def attach(self, handlers: list[str], credits: int) -> None:
        self._send(pb.WorkRequest(attach=pb.Attach(handlers=handlers, credits=credits)))

    def detach(self) -> None:
        self._send(pb.WorkRequest(detach=pb.Detach()))

    def ack(self, attempt: Attempt) -> None:
        self._send(pb.WorkRequest(ack=pb.Ack(run=attempt[0], token=attempt[1])))

    def nack(self, attempt: Attempt, reason: str, retry_after: Optional[timedelta] = None) -> None:
        cut = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
        nack = pb.Nack(run=attempt[0], token=attempt[1], reason=cut)
        if retry_after is not None:
            nack.retry_after.CopyFrom(duration_to_wire(min(retry_after, _RETRY_AFTER_MAX)))
        self._send(pb.WorkRequest(nack=nack))

    def extend(self, attempt: Attempt) -> None:
        self._send(pb.WorkRequest(extend=pb.Extend(run=attempt[0], token=attempt[1])))

    def release(self, attempt: Attempt) -> None:
        self._send(pb.WorkRequest(release=pb.Release(run=attempt[0], token=attempt[1])))

    def _send(self, request: pb.WorkRequest) -> None:
        if self.is_open:
            self._outbox.put_nowait(request)


@dataclass
class InFlight:
    """A run whose handler has not ended."""

    stream: Stream
    task: asyncio.Task[None]
    is_withdrawn: bool = False
    """Its right is over; what it comes to does not count."""
    is_settled: bool = False
    """The agent was told already what became of it."""


class Driver:
    """The loop and all that it owns. Everything happens in one thread, so that nothing needs a lock."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._stream = Stream()
        self._running: dict[Attempt, InFlight] = {}

    async def run(self) -> None:
        """Works until it is stopped, or until the agent's answer shows that trying again does not help."""
        failures = 0
        try:
            while not self._work.stop.is_set():
                why = await self._serve_once()
                if self._work.stop.is_set():
                    return
                failures = 1 if self._stream.attached.is_set() else failures + 1
                wait_s = full_jitter_s(failures)
                address = self._work.calls.address
                LOG.warning("the worker has lost its agent at %s, and tries again in %.3f s: %s", address, wait_s, why)
                await _within(self._work.stop.wait(), wait_s)
        finally:
            self._stream.is_open = False
            await self._end_handlers()

    # ---- one stream

    async def _serve_once(self) -> str:
        """One stream from its opening to its end; says why it ended. Raises what does not pass by itself."""
        stream = self._stream = Stream()
        self._offer(stream)
        call = self._work.calls.workers.Work(stream.requests())
        hearing = asyncio.ensure_future(self._hear_all(call, stream))
        stopping = asyncio.ensure_future(self._work.stop.wait())
        opening = asyncio.ensure_future(self._opened(stream))
        try:
            done, _ = await asyncio.wait([hearing, stopping, opening], return_when=asyncio.FIRST_COMPLETED)
            if hearing not in done and stopping in done:
                await self._leave(stream, hearing)
                return "the worker was stopped"
            if hearing not in done:
                return f"it does not accept the stream within {_OPEN_TIMEOUT_S} s"
            return hearing.result()
        except asyncio.CancelledError:
            await self._leave_at_once(stream, hearing)
            raise
        finally:
            stream.is_open = False
            call.cancel()
            for it in (hearing, stopping, opening):
                it.cancel()
            await asyncio.gather(hearing, stopping, opening, return_exceptions=True)
            self._withdraw_all(stream)

    async def _opened(self, stream: Stream) -> None:
        """Ends if the agent does not accept the stream in time."""
        if not await _within(stream.attached.wait(), _OPEN_TIMEOUT_S):
            return
        await asyncio.Event().wait()

    async def _hear_all(self, call: grpc.aio.StreamStreamCall[pb.WorkRequest, pb.WorkResponse], stream: Stream) -> str:
        """Hears the agent until the stream ends; says why it ended."""
        try:
            async for response in call:
                self._hear(response, stream)
        except grpc.aio.AioRpcError as failed:
            error = self._work.calls.error(failed)
            if errors.worth_reconnecting(error):
                return str(error)
            raise error from None
        return "the agent ended the stream"

    def _hear(self, response: pb.WorkResponse, stream: Stream) -> None:
        kind = response.WhichOneof("message")
        if kind == "attached":
            if not stream.attached.is_set():
                LOG.info("attached to %s in pool %s", response.attached.node, response.attached.pool)
            stream.attached.set()
            self._work.attached.set()
        elif kind == "fire":
            self._fire(response.fire.run, stream)
        elif kind == "withdraw":
            self._withdraw((response.withdraw.run, response.withdraw.token))

    def _offer(self, stream: Stream) -> None:
        """Says what this worker has, and how much it can take besides what still runs from earlier streams."""
        orphans = sum(it.stream is not stream for it in self._running.values())
        stream.attach(sorted(self._work.handlers), max(self._work.concurrency - orphans, 0))

    # ---- runs

    def _fire(self, wire: pb.Run, stream: Stream) -> None:
        """Begins a run, or gives it back."""
        attempt = (wire.run, wire.token)
        if attempt in self._running:
            return
        if self._work.stop.is_set() or len(self._running) >= self._work.concurrency:
            stream.release(attempt)
            return
        handler = self._work.handlers.get(wire.handler)
        if handler is None:
            stream.nack(attempt, f"this worker has no handler {wire.handler}")
            return
        try:
            run = _wire.understood(_run, wire)
        except BadAnswer as error:
            stream.nack(attempt, str(error))
            return
        task = asyncio.ensure_future(self._execute(attempt, run, handler, stream))
        self._running[attempt] = InFlight(stream, task)

    async def _execute(self, attempt: Attempt, run: Run, handler: Handler, stream: Stream) -> None:
        """Runs one handler, says that it is alive while it takes long, and settles its run."""
        heartbeat_s = max((run.attempt_timeout or _ATTEMPT_TIMEOUT).total_seconds() / 2, _HEARTBEAT_MIN_S)
        handling = asyncio.ensure_future(_handle(handler, run))
        try:
            while not handling.done():
                await asyncio.wait([handling], timeout=heartbeat_s)
                if not handling.done():
                    stream.extend(attempt)
        except asyncio.CancelledError:
            # A handler may take its time to end; its place is taken until then.
            handling.cancel()
            await asyncio.wait([handling])
        self._settle(attempt, handling, stream)

    def _settle(self, attempt: Attempt, handling: asyncio.Future[None], stream: Stream) -> None:
        """Tells the agent what became of a run, whose place is free now."""
        in_flight = self._running.pop(attempt)
        error = None if handling.cancelled() else handling.exception()
        if in_flight.is_settled:
            pass
        elif in_flight.is_withdrawn:
            LOG.info("the handler of %s with token %d has ended; its outcome does not count", *attempt)
            stream.release(attempt)
        elif handling.cancelled():
            stream.nack(attempt, "the handler was cancelled")
        elif error is not None:
            stream.nack(attempt, _reason(error), getattr(error, "retry_after", None))
        else:
            stream.ack(attempt)
        if stream is not self._stream and not self._work.stop.is_set():
            self._offer(self._stream)

    def _withdraw(self, attempt: Attempt) -> None:
        """The right to a run is over: its handler is cancelled."""
        in_flight = self._running.get(attempt)
        if in_flight is not None and not in_flight.is_withdrawn:
            in_flight.is_withdrawn = True
            in_flight.task.cancel()

    def _withdraw_all(self, stream: Stream) -> None:
        for attempt in [attempt for attempt, it in self._running.items() if it.stream is stream]:
            self._withdraw(attempt)

    # ---- the end

    async def _leave(self, stream: Stream, hearing: asyncio.Future[str]) -> None:
        """Takes no more runs and says so; settles those that have begun; waits for the agent to end the stream."""
        stream.detach()
        ended = [it.task for it in self._running.values() if it.stream is stream]
        if ended:
            settling = asyncio.ensure_future(_all(ended))
            either: list[asyncio.Future[Any]] = [settling, hearing]
            await asyncio.wait(either, timeout=self._work.grace_s, return_when=asyncio.FIRST_COMPLETED)
            settling.cancel()
        for attempt in self._give_up(stream):
            stream.nack(attempt, "the worker was stopped before the handler ended")
        await asyncio.wait([hearing], timeout=_FAREWELL_S)

    async def _leave_at_once(self, stream: Stream, hearing: asyncio.Future[str]) -> None:
        """Gives everything back, if the agent hears it in a moment."""
        stream.detach()
        for attempt in self._give_up(stream):
            stream.release(attempt)
        await asyncio.wait([hearing], timeout=_FAREWELL_S)

    def _give_up(self, stream: Stream) -> list[Attempt]:
        """Cancels the handlers of the stream that are left; gives the runs that the caller settles instead."""
        left = [attempt for attempt, it in self._running.items() if it.stream is stream and not it.is_withdrawn]
        for attempt in left:
            self._running[attempt].is_settled = True
            self._withdraw(attempt)
        return left

    async def _end_handlers(self) -> None:
        """Cancels the handlers that nobody settles any more, and waits until they have ended."""
        tasks = [it.task for it in self._running.values()]
        for attempt in list(self._running):
            self._withdraw(attempt)
        if tasks:
            await asyncio.wait(tasks, timeout=self._work.grace_s)


async def _handle(handler: Handler, run: Run) -> None:
    returned = handler(run)
    if not inspect.isawaitable(returned):
        raise TypeError("the handler is not async")
    await returned


def _reason(error: BaseException) -> str:
    """The error and its causes, for people."""
    from .worker import Failure

    words = error.reason if isinstance(error, Failure) else f"{type(error).__name__}: {error}".rstrip(": ")
    cause = error.__cause__
    return words if cause is None else f"{words}: {_reason(cause)}"


async def _all(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


async def _within(waiting: Coroutine[object, object, None], limit_s: float) -> bool:
    """Whether it came within the limit."""
    try:
        await asyncio.wait_for(waiting, limit_s)
    except asyncio.TimeoutError:
        return False
    return True


def _run(wire: pb.Run) -> Run:
    from .worker import Run

    for name in ("nominal_time", "due_time", "launched_time"):
        if not wire.HasField(name):
            raise BadAnswer(f"it lacks {name}")
    timeout = duration_from_wire(wire.attempt_timeout)
    return Run(
        timer=wire.timer,
        uid=wire.uid,
        run=wire.run,
        attempt=wire.attempt,
        token=wire.token,
        nominal_time=timestamp_from_wire(wire.nominal_time),
        due_time=timestamp_from_wire(wire.due_time),
        launched_time=timestamp_from_wire(wire.launched_time),
        payload=wire.payload,
        content_type=wire.content_type,
        handler=wire.handler,
        node=wire.node,
        missed_count=wire.missed_count,
        generation=wire.generation,
        attempt_timeout=timeout if timeout > timedelta(0) else None,
    )
