"""Timers and their runs as they are read: plain values without anything of the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Mapping, Optional, Union

from .policy import Dst, Durability, Effort, Isolation, Misfire, Overlap, Retry
from .schedule import Schedule
from .target import Placement, Target


class TimerState(Enum):
    """The state of a timer."""

    SCHEDULED = "scheduled"
    """Waits for its next occurrence."""
    RUNNING = "running"
    """An occurrence is being run, or is about to be."""
    DONE = "done"
    """The last occurrence succeeded, and there is no further one."""
    FAILED = "failed"
    """The last occurrence failed and is not tried again."""
    DEAD = "dead"
    """Its attempts are used up."""
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    """Pinned to a node that has left."""
    PENDING = "pending"
    """A change to it waits for its sleeping home."""
    PAUSED = "paused"
    LOST = "lost"
    """At most once, started, and its outcome is unknown."""
    SKIPPED = "skipped"
    """The last occurrence was skipped, and there is no further one."""
    UNKNOWN = "unknown"
    """A state that this version of the client does not know."""


class RunState(Enum):
    """The state of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Refused by its handler, or timed out; another attempt may follow."""
    DEAD = "dead"
    """Failed, and the attempts are used up."""
    SKIPPED = "skipped"
    """Not run, or not to its end; ``reason`` says why."""
    LOST = "lost"
    """At most once, started, and its outcome is unknown."""
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Its runner lost the right to it, or died; another attempt follows."""
    WAITING = "waiting"
    """Asked for, and not launched yet."""
    UNKNOWN = "unknown"
    """A state that this version of the client does not know."""


class CancelOutcome(Enum):
    """What a cancel found."""

    CANCELLED = "cancelled"
    """It will not run any more."""
    ALREADY_FIRED = "already_fired"
    """It had no occurrence left."""
    RUNNING = "running"
    """Cancelled all the same, but the run with the token is not stopped."""
    PENDING = "pending"
    """Stored for a sleeping node, and applied before that fires anything."""
    NOT_FOUND = "not_found"
    """There is no timer of that name."""


@dataclass(frozen=True)
class Cancelled:
    """What a cancel found."""

    outcome: CancelOutcome
    token: int = 0
    """The token of the run that is not stopped; only for RUNNING."""


@dataclass(frozen=True)
class RunRecord:
    """One attempt to deliver an occurrence, as it is remembered."""

    run: str
    """The occurrence, the same for every attempt."""
    attempt: int
    """The number of the attempt, from 1."""
    token: int
    """The fencing token; 0 if it was never claimed."""
    state: RunState
    reason: str
    """Why it was skipped or failed; empty otherwise."""
    node: str
    """The node that ran it; empty if none did."""
    nominal_time: Optional[datetime]
    """When the schedule says."""
    due_time: Optional[datetime]
    """When it was to be launched: nominal time, jitter and backoff."""
    launched_time: Optional[datetime]
    finished_time: Optional[datetime]
    missed_count: int
    """How many earlier occurrences this record stands for."""
    timer: str
    """The full name of the timer, where runs of several timers are told; else empty."""
    generation: int


@dataclass(frozen=True)
class TimerInfo:
    """A timer as its owner has it. None stands for what was not told or is not known to this version."""

    name: str
    """The full name: ``pools/POOL/timers/TIMER``, or ``pools/POOL/nodes/NODE/timers/TIMER`` if not replicated."""
    uid: str
    """The identity; a later timer of the same name has another one."""
    state: TimerState
    home: str
    """The node where it is at home; empty if that is the pool itself."""
    schedule: Optional[Schedule]
    placement: Placement
    target: Optional[Target]
    payload: bytes
    content_type: str
    durability: Optional[Durability]
    isolation: Optional[Isolation]
    effort: Optional[Effort]
    start_time: Optional[datetime]
    end_time: Optional[datetime]
    max_occurrences: int
    expire_time: Optional[datetime]
    jitter: Optional[timedelta]
    misfire: Optional[Misfire]
    misfire_grace: Optional[timedelta]
    misfire_cap: int
    catchup_window: Optional[timedelta]
    overlap: Optional[Overlap]
    retry: Optional[Retry]
    dst: Optional[Dst]
    labels: Mapping[str, str]
    paused: bool
    generation: int
    """Raised by every edit and rearm, from 1."""
    etag: str
    """Changes with every change of the record; hand it to update() to change only what was read."""
    next_times: tuple[datetime, ...]
    """The next nominal times, earliest first, at most a few."""
    last_run: Optional[RunRecord]
    create_time: Optional[datetime]
    update_time: Optional[datetime]
    skipped_count: int
    begun_count: int


@dataclass(frozen=True)
class PreviewedTime:
    """One time of a previewed schedule."""

    time: datetime
    local_time: str
    """The same with offset and zone, as RFC 9557 writes it."""
    note: str
    """Says so if a change of the clocks moved or doubled it; empty otherwise."""


@dataclass(frozen=True)
class Reset:
    """Forget everything that was told before: what follows is every timer that there is."""

    resume_token: str


@dataclass(frozen=True)
class TimerChanged:
    """The timer is now like this."""

    timer: TimerInfo
    resume_token: str


@dataclass(frozen=True)
class TimerRemoved:
    """The timer of this full name is no more."""

    name: str
    resume_token: str


@dataclass(frozen=True)
class RunChanged:
    """Something has become of a run."""

    run: RunRecord
    resume_token: str


Change = Union[Reset, TimerChanged, TimerRemoved, RunChanged]
