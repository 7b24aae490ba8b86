"""The asyncio client of Dormouse: timers that follow the awake.

A :class:`Client` talks to an agent (usually the one of its own node) or to the coordinator; both know every timer. It
creates, reads, changes and ends timers; a :class:`Worker` of it runs what falls due. This package knows the wire only:
what a timer means is decided by whoever answers.

    async with Client("unix:/run/dormouse/agent.sock") as client:
        timer = Timer(After(timedelta(seconds=90)), Handler("remind"), payload=b"Call Bob back")
        created = await client.create(timer)
        print(created.name, "fires at", created.next_times[0])

The messages of the wire are in ``dormouse.v1``, for those who need them as they are.
"""

from .client import Client
from .errors import (
    AlreadyExists,
    BadAddress,
    BadAnswer,
    Broken,
    Denied,
    Error,
    Exhausted,
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Refused,
    Stale,
    TimedOut,
    Unavailable,
    Unimplemented,
)
from .info import (
    Cancelled,
    CancelOutcome,
    Change,
    PreviewedTime,
    Reset,
    RunChanged,
    RunRecord,
    RunState,
    TimerChanged,
    TimerInfo,
    TimerRemoved,
    TimerState,
)
from .policy import (
    Dst,
    DstGap,
    DstOverlap,
    Durability,
    Effort,
    Isolation,
    Misfire,
    Overlap,
    RearmMode,
    Retry,
)
from .schedule import After, At, Cron, Every, Schedule
from .target import Command, Handler, Http, Movable, Pinned, Placement, StatusRange, Target
from .timer import UNSET, Changes, Timer
from .worker import Failure, Run, Worker

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "After",
    "AlreadyExists",
    "At",
    "BadAddress",
    "BadAnswer",
    "Broken",
    "CancelOutcome",
    "Cancelled",
    "Change",
    "Changes",
    "Client",
    "Command",
    "Cron",
    "Denied",
    "Dst",
    "DstGap",
    "DstOverlap",
    "Durability",
    "Effort",
    "Error",
    "Every",
    "Exhausted",
    "Failure",
    "FieldViolation",
    "Handler",
    "Http",
    "InvalidArgument",
    "Isolation",
    "Misfire",
    "Movable",
    "NotFound",
    "OutOfRange",
    "Overlap",
    "Pinned",
    "Placement",
    "PreviewedTime",
    "RearmMode",
    "Refused",
    "Reset",
    "Retry",
    "Run",
    "RunChanged",
    "RunRecord",
    "RunState",
    "Schedule",
    "Stale",
    "StatusRange",
    "Target",
    "TimedOut",
    "Timer",
    "TimerChanged",
    "TimerInfo",
    "TimerRemoved",
    "TimerState",
    "Unavailable",
    "Unimplemented",
    "Worker",
]
