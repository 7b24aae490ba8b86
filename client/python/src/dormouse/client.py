"""The client: the calls about timers and their runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import TracebackType
from typing import AsyncIterator, Iterable, List, Mapping, Optional, Sequence, TypeVar, Union

from google.protobuf.field_mask_pb2 import FieldMask

from . import _checks, _watch, _wire, errors, info
from ._channel import Calls
from ._request_id import request_id
from ._retry import Retries
from ._times import duration_to_wire, timestamp_to_wire
from .errors import BadAnswer, Error, invalid
from .policy import Dst, RearmMode
from .schedule import After, At, Schedule
from .timer import SETTABLE, Changes, Timer
from .v1 import timer_pb2 as pb
from .v1 import timer_pb2_grpc
from .worker import Worker

Item = TypeVar("Item")

_BATCH_MAX = 1000
_PREVIEW_MAX = 1000


class Client:
    """A connection to an agent (usually the one of its own node) or to the coordinator; both know every timer.

    Each change has a request id that stays the same over retries, so that nothing happens twice. A call is tried
    again only where the answer says that this helps.
    """

    def __init__(self, address: str, *, timeout: timedelta = timedelta(seconds=10), attempts: int = 4) -> None:
        """Prepares a connection to ``http://HOST:PORT`` or ``unix:PATH``; nobody needs to listen there yet.

        ``timeout`` is for one attempt of a call, ``attempts`` counts them all: 1 for never again.
        """
        _checks.length("timeout", timeout, timedelta(milliseconds=1))
        _checks.number("attempts", attempts, 1, 1000)
        self._calls = Calls(address, timeout.total_seconds(), Retries(attempts_max=attempts))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and whatever goes on over it."""
        await self._calls.close()

    @property
    def address(self) -> str:
        """The address that this client was made with."""
        return self._calls.address

    # ---- timers

    async def create(self, timer: Timer) -> info.TimerInfo:
        """Creates a timer, and returns it with everything that was filled in, once the change is as durable as the
        timer's class says. Raises AlreadyExists for a name in use."""
        response = await self._calls.call(self._timers.CreateTimer, _create_request(timer))
        return _wire.understood(_wire.timer_info, response.timer)

    async def get(self, name: str) -> info.TimerInfo:
        """Reads the timer of this full name. Raises NotFound."""
        request = pb.GetTimerRequest(name=_checks.timer_name(name))
        response = await self._calls.call(self._timers.GetTimer, request)
        return _wire.understood(_wire.timer_info, response.timer)

    async def list(
        self,
        *,
        pool: str = "",
        states: Iterable[info.TimerState] = (),
        labels: Optional[Mapping[str, str]] = None,
        home: str = "",
        page_size: int = 0,
    ) -> AsyncIterator[info.TimerInfo]:
        """The timers of a pool by name, read page by page as they are asked for. Without ``pool`` those of the
        agent's own, at a coordinator of every pool. Each filter leaves out what does not match."""
        request = pb.ListTimersRequest(
            pool=_checks.optional_identifier("pool", pool),
            states=[_wire.enum_to_wire(_checks.choice("states", it, info.TimerState)) for it in states],
            labels=_checks.labels(labels or {}, "labels"),
            home=_checks.optional_identifier("home", home),
            page_size=_checks.page_size(page_size),
        )
        while True:
            page = await self._calls.call(self._timers.ListTimers, request)
            for timer in page.timers:
                yield _wire.understood(_wire.timer_info, timer)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def update(self, name: str, changes: Changes, *, etag: str = "") -> info.TimerInfo:
        """Changes the fields that ``changes`` names. With ``etag`` only if the timer is still as it was read;
        raises Stale otherwise."""
        if not changes.mask:
            raise invalid("update_mask", "there is nothing to change")
        timer = _wire.timer_to_wire(changes, changes.mask)
        timer.name, timer.etag = _checks.timer_name(name), etag
        request = pb.UpdateTimerRequest(timer=timer, update_mask=FieldMask(paths=changes.mask), request_id=request_id())
        response = await self._calls.call(self._timers.UpdateTimer, request)
        return _wire.understood(_wire.timer_info, response.timer)

    async def put(self, name: str, timer: Timer, *, etag: str = "") -> info.TimerInfo:
        """Makes the timer of this full name be as ``timer`` says, and creates it if there is none. The timer's own
        ``name`` and ``pool`` are left empty."""
        if timer.name or timer.pool:
            raise invalid("timer.name", "must be left empty: the full name is given apart")
        wire = _wire.timer_to_wire(timer)
        wire.name, wire.etag = _checks.timer_name(name), etag
        request = pb.UpdateTimerRequest(
            timer=wire, update_mask=FieldMask(paths=SETTABLE), allow_missing=True, request_id=request_id()
        )
        response = await self._calls.call(self._timers.UpdateTimer, request)
        return _wire.understood(_wire.timer_info, response.timer)

    async def rearm(
        self,
        name: str,
        time: Union[At, After],
        *,
        mode: Optional[RearmMode] = None,
        payload: Optional[bytes] = None,
    ) -> info.TimerInfo:
        """Moves the next occurrence of a timer: one call instead of cancel and create. A recurring timer goes on by
        its schedule after that. ``payload``, if given, is delivered from now on."""
        request = pb.RearmTimerRequest(
            name=_checks.timer_name(name),
            mode=_wire.enum_to_wire(_checks.choice("mode", mode, RearmMode)),
            request_id=request_id(),
        )
        if isinstance(time, At):
            request.at.CopyFrom(timestamp_to_wire(time.time))
        elif isinstance(time, After):
            request.after.CopyFrom(duration_to_wire(time.wait))
        else:
            raise invalid("time", "must be At or After")
        if payload is not None:
            request.payload = _checks.payload(payload)
        response = await self._calls.call(self._timers.RearmTimer, request)
        return _wire.understood(_wire.timer_info, response.timer)

    async def cancel(self, name: str) -> info.Cancelled:
        """Ends a timer. That there is none, or that it has fired, is an outcome and no error."""
        response = await self._calls.call(self._timers.CancelTimer, _cancel_request(name))
        return _wire.understood(_wire.cancelled, response)

    async def create_many(self, timers: Sequence[Timer]) -> List[Union[info.TimerInfo, Error]]:
        """Creates 1 to 1000 timers at once. For each, in their order, the timer or why it was refused."""
        requests = [_create_request(timer) for timer in _batch(timers)]
        response = await self._calls.call(
            self._timers.BatchCreateTimers, pb.BatchCreateTimersRequest(requests=requests)
        )
        results = _as_many(response.results, len(requests))
        return [
            errors.from_status(it.error)
            if it.WhichOneof("result") == "error"
            else _wire.understood(_wire.timer_info, it.timer)
            for it in results
        ]

    async def cancel_many(self, names: Sequence[str]) -> List[Union[info.Cancelled, Error]]:
        """Cancels 1 to 1000 timers at once. For each, in their order, what was found or why it was refused."""
        requests = [_cancel_request(name) for name in _batch(names)]
        response = await self._calls.call(
            self._timers.BatchCancelTimers, pb.BatchCancelTimersRequest(requests=requests)
        )
        results = _as_many(response.results, len(requests))
        return [
            errors.from_status(it.error)
            if it.WhichOneof("result") == "error"
            else _wire.understood(_wire.cancelled, it.cancelled)
            for it in results
        ]

    async def pause(self, name: str) -> info.TimerInfo:
        """Stops the occurrences of a timer until it is resumed. Those in between are no misses."""
        request = pb.PauseTimerRequest(name=_checks.timer_name(name), request_id=request_id())
        response = await self._calls.call(self._timers.PauseTimer, request)
        return _wire.understood(_wire.timer_info, response.timer)

    async def resume(self, name: str) -> info.TimerInfo:
        """Goes on with the first occurrence after now."""
        request = pb.ResumeTimerRequest(name=_checks.timer_name(name), request_id=request_id())
        response = await self._calls.call(self._timers.ResumeTimer, request)
        return _wire.understood(_wire.timer_info, response.timer)

    async def run(self, name: str) -> info.RunRecord:
        """Runs a timer now, besides its schedule. Returns the run as far as it has come."""
        request = pb.RunTimerRequest(name=_checks.timer_name(name), request_id=request_id())
        response = await self._calls.call(self._timers.RunTimer, request)
        return _wire.understood(_wire.run_record, response.run)

    async def preview(
        self,
        schedule: Schedule,
        *,
        dst: Optional[Dst] = None,
        after: Optional[datetime] = None,
        count: int = 10,
    ) -> List[info.PreviewedTime]:
        """The next ``count`` times of a schedule, after now or ``after``; fewer if there are no more."""
        request = pb.PreviewScheduleRequest(
            schedule=_wire.schedule_to_wire(schedule), count=_checks.number("count", count, 1, _PREVIEW_MAX)
        )
        if dst is not None:
            request.dst.CopyFrom(_wire.dst_to_wire(dst))
        if after is not None:
            request.after_time.CopyFrom(timestamp_to_wire(_checks.instant("after_time", after)))
        response = await self._calls.call(self._timers.PreviewSchedule, request)
        return _wire.understood(_wire.previewed, response)

    # ---- runs

    async def list_runs(
        self, name: str, *, states: Iterable[info.RunState] = (), page_size: int = 0
    ) -> AsyncIterator[info.RunRecord]:
        """The history of a timer's runs, newest first, read page by page as it is asked for."""
        request = pb.ListRunsRequest(
            name=_checks.timer_name(name),
            states=[_wire.enum_to_wire(_checks.choice("states", it, info.RunState)) for it in states],
            page_size=_checks.page_size(page_size),
        )
        while True:
            page = await self._calls.call(self._timers.ListRuns, request)
            for run in page.runs:
                yield _wire.understood(_wire.run_record, run)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def list_dead_runs(self, *, pool: str = "", page_size: int = 0) -> AsyncIterator[info.RunRecord]:
        """The dead runs of a pool: their attempts are used up, or their runners died. By the names of their timers."""
        request = pb.ListDeadRunsRequest(
            pool=_checks.optional_identifier("pool", pool), page_size=_checks.page_size(page_size)
        )
        while True:
            page = await self._calls.call(self._timers.ListDeadRuns, request)
            for run in page.runs:
                yield _wire.understood(_wire.run_record, run)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def requeue_dead_run(self, name: str, run: str) -> info.RunRecord:
        """Runs a dead occurrence again, as if it were new. ``name`` is the timer's, ``run`` is RunRecord.run."""
        request = pb.RequeueDeadRunRequest(
            name=_checks.timer_name(name), run=_checks.run("run", run), request_id=request_id()
        )
        response = await self._calls.call(self._timers.RequeueDeadRun, request)
        return _wire.understood(_wire.run_record, response.run)

    async def purge_dead_run(self, name: str, run: str) -> None:
        """Forgets a dead occurrence."""
        request = pb.PurgeDeadRunRequest(
            name=_checks.timer_name(name), run=_checks.run("run", run), request_id=request_id()
        )
        await self._calls.call(self._timers.PurgeDeadRun, request)

    # ---- what goes on

    def watch(self, *, pool: str = "", resume_token: str = "") -> AsyncIterator[info.Change]:
        """Every change of the timers of a pool, without an end: it reconnects and goes on by itself.

        Without a token it begins with Reset and every timer that there is. A Reset later says that the token was
        too old: what was told before is to be forgotten. An agent tells the timers that its own node keeps.
        """
        return _watch.watch(self._calls, _checks.optional_identifier("pool", pool), resume_token)

    def worker(self, *, concurrency: int = 16, grace: timedelta = timedelta(seconds=30)) -> Worker:
        """Begins a worker, which runs what falls due. The client must be connected to an agent.

        ``concurrency`` is how many runs at once, of all handlers together: 1 to 10,000. ``grace`` is how long a
        stopped worker waits for its handlers.
        """
        _checks.number("concurrency", concurrency, 1, 10_000)
        _checks.length("grace", grace)
        return Worker(self._calls, concurrency, grace)

    @property
    def _timers(self) -> timer_pb2_grpc.TimerServiceAsyncStub:
        return self._calls.timers


def _create_request(timer: Timer) -> pb.CreateTimerRequest:
    return pb.CreateTimerRequest(
        pool=timer.pool, timer_id=timer.name, timer=_wire.timer_to_wire(timer), request_id=request_id()
    )


def _cancel_request(name: str) -> pb.CancelTimerRequest:
    return pb.CancelTimerRequest(name=_checks.timer_name(name), request_id=request_id())


def _batch(items: Sequence[Item]) -> Sequence[Item]:
    if not 1 <= len(items) <= _BATCH_MAX:
        raise invalid("requests", f"has {len(items)} items; 1 to {_BATCH_MAX} are allowed")
    return items


def _as_many(results: Sequence[Item], asked: int) -> Sequence[Item]:
    if len(results) != asked:
        raise BadAnswer(f"the answer makes no sense: {len(results)} results for {asked} requests")
    return results
