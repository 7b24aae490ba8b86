"""A worker: takes runs from its agent, hands them to handlers, and says what became of them.

::

    agent                         the stream                     a task for each run
      | <-- Attach{handlers, credits} -- |                               |
      | --- Fire{run} -----------------> | ---- the handler begins ----> |
      | <-- Extend --------------------- | <--- half the time-out ------ |
      | --- Withdraw ------------------> | ---- the handler is cancelled |
      | <-- Ack / Nack / Release ------- | <--- settled ---------------- |

``_drive`` owns the streams and everything that is in flight. This module is what users see.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Awaitable, Callable, Iterable, Optional, TypeVar

from . import _checks, _drive
from ._channel import Calls
from .errors import invalid

F = TypeVar("F", bound="Callable[[Run], Awaitable[object]]")

_HANDLERS_MAX = 1000


@dataclass(frozen=True)
class Run:
    """One attempt to deliver an occurrence of a timer."""

    timer: str
    """The full name of the timer."""
    uid: str
    """The timer's identity."""
    run: str
    """The occurrence, the same for every attempt: a key for deduplication."""
    attempt: int
    """The number of the attempt, from 1."""
    token: int
    """The fencing token: those of one timer grow. A target that remembers the largest and refuses smaller ones sees no
    run that has lost its right."""
    nominal_time: datetime
    """When the schedule says."""
    due_time: datetime
    """When this attempt was to be launched."""
    launched_time: datetime
    """When it was launched."""
    payload: bytes
    content_type: str
    handler: str
    """The handler that is meant."""
    node: str
    """The node that runs it."""
    missed_count: int
    """How many missed occurrences this one stands for besides itself."""
    generation: int
    """The timer's generation."""
    attempt_timeout: Optional[timedelta]
    """The attempt fails if nothing is heard of it for this long; the worker sees to that. None if unknown."""


class Failure(Exception):
    """Raised by a handler: the run failed, for a reason that is for people to read.

    ``retry_after`` says not again before that; without it the timer's retry policy decides.
    """

    def __init__(self, reason: str, *, retry_after: Optional[timedelta] = None) -> None:
        super().__init__(reason)
        if retry_after is not None:
            _checks.length("retry_after", retry_after)
        self.reason = reason
        self.retry_after = retry_after


Handler = Callable[[Run], Awaitable[object]]


class Worker:
    """Runs what falls due for its handlers; made by :meth:`dormouse.Client.worker`.

    It stays attached to its agent: if the agent is not there (yet, or any more) it tries again for ever. A handler
    that raises has failed, and the run is tried again as its timer says. A handler that takes long is reported as
    alive, so that its run is not given to another; so it must not block the event loop (``asyncio.to_thread`` is for
    what blocks). The handler of a run whose right is over, because it was withdrawn or its stream broke, is cancelled.
    """

    def __init__(self, calls: Calls, concurrency: int, grace: timedelta) -> None:
        self._calls = calls
        self._concurrency = concurrency
        self._grace = grace
        self._handlers: dict[str, Handler] = {}
        self._stop = _drive.Flag()
        self._attached = _drive.Flag()
        self._begun = False

    def handler(self, name: str) -> Callable[[F], F]:
        """Offers the decorated function as a handler. The same name again replaces the former."""

        def register(function: F) -> F:
            self.handle(name, function)
            return function

        return register

    def handle(self, name: str, function: Handler) -> Worker:
        """Offers a handler. The same name again replaces the former."""
        if self._begun:
            raise RuntimeError("handlers are offered before the worker runs")
        self._handlers[_checks.handler("handlers", name)] = function
        return self

    def stop(self) -> None:
        """Takes no more runs; ``run`` returns once those that have begun are settled, or the grace is over."""
        self._stop.set()

    async def attached(self) -> None:
        """Waits until the agent knows the worker for the first time."""
        await self._attached.wait()

    async def run(self, *, signals: Iterable[signal.Signals] = ()) -> None:
        """Works until it is stopped, by :meth:`stop` or one of ``signals``; then takes no more runs, waits for those
        that have begun, gives the others back, and returns. Handlers that outlast the grace are cancelled, and their
        runs have failed. Cancelling this cancels the handlers at once and gives their runs back.

        Raises only what does not pass by itself: InvalidArgument, Denied, and Unimplemented if what answers is no
        agent.
        """
        if self._begun:
            raise RuntimeError("a worker runs once; make another")
        if not 1 <= len(self._handlers) <= _HANDLERS_MAX:
            raise invalid("handlers", f"a worker needs 1 to {_HANDLERS_MAX} handlers")
        self._begun = True
        loop = asyncio.get_running_loop()
        heard = list(signals)
        for each in heard:
            loop.add_signal_handler(each, self.stop)
        try:
            await _drive.Driver(self._work()).run()
        finally:
            for each in heard:
                loop.remove_signal_handler(each)

    def _work(self) -> _drive.Work:
        return _drive.Work(
            calls=self._calls,
            handlers=dict(self._handlers),
            concurrency=self._concurrency,
            grace_s=self._grace.total_seconds(),
            stop=self._stop,
            attached=self._attached,
        )
