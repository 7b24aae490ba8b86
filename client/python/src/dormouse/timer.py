"""A timer to be created, and a change of one: values that are known to be well-formed once they exist."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Mapping, Optional, Union

from . import _checks
from .errors import invalid
from .policy import Dst, Durability, Effort, Isolation, Misfire, Overlap, Retry
from .schedule import After, At, Cron, Every, Schedule
from .target import Command, Handler, Http, Movable, Pinned, Placement, Target

_MISFIRE_CAP_MAX = 1000
_U64_MAX = (1 << 64) - 1
_CATCHUP_MIN = timedelta(seconds=60)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Timer:
    """A timer to be created by :meth:`dormouse.Client.create`. Raises InvalidArgument if it can be seen to be wrong.

    >>> from datetime import timedelta
    >>> Timer(Every(timedelta(seconds=10)), Handler("flush"), name="flush-cache").name
    'flush-cache'
    """

    schedule: Schedule
    target: Target
    name: str = ""
    """The last part of its name; the server chooses one if empty."""
    pool: str = ""
    """If empty the agent's own, at a coordinator ``default``."""
    payload: bytes = b""
    """Handed to the target as it is: up to 64 KiB unless the server allows more."""
    content_type: str = ""
    placement: Placement = Movable()
    durability: Optional[Durability] = None
    isolation: Optional[Isolation] = None
    effort: Optional[Effort] = None
    start_time: Optional[datetime] = None
    """No occurrence before this."""
    end_time: Optional[datetime] = None
    """No occurrence at or after this."""
    max_occurrences: int = 0
    """Done after this many; 0 means without limit."""
    expire_time: Optional[datetime] = None
    """An occurrence that could not start by then is skipped."""
    jitter: Optional[timedelta] = None
    """Each occurrence is delayed by up to this, the same every time; shorter than the shortest period."""
    misfire: Optional[Misfire] = None
    misfire_grace: Optional[timedelta] = None
    """Late by at most this is on time: from 1 s; 60 s if None."""
    misfire_cap: int = 0
    """With Misfire.ALL at most so many run, the latest ones: up to 1000; 100 if 0."""
    catchup_window: Optional[timedelta] = None
    """Missed occurrences older than this are dropped; 60 s to 10 years."""
    overlap: Optional[Overlap] = None
    retry: Optional[Retry] = None
    dst: Optional[Dst] = None
    labels: Mapping[str, str] = field(default_factory=dict)
    paused: bool = False

    def __post_init__(self) -> None:
        _checks.optional_identifier("timer_id", self.name)
        _checks.optional_identifier("pool", self.pool)
        for name in SETTABLE:
            _check(name, getattr(self, name))
        _check_together(self)


class Unset(Enum):
    """Says that a change leaves a field alone."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True)
class Changes:
    """The fields to change with :meth:`dormouse.Client.update`; what is left out stays as it is.
    None, where a :class:`Timer` can have it, sets the default again."""

    schedule: Union[Schedule, Unset] = UNSET
    target: Union[Target, Unset] = UNSET
    payload: Union[bytes, Unset] = UNSET
    content_type: Union[str, Unset] = UNSET
    placement: Union[Placement, Unset] = UNSET
    durability: Union[Durability, None, Unset] = UNSET
    isolation: Union[Isolation, None, Unset] = UNSET
    effort: Union[Effort, None, Unset] = UNSET
    start_time: Union[datetime, None, Unset] = UNSET
    end_time: Union[datetime, None, Unset] = UNSET
    max_occurrences: Union[int, Unset] = UNSET
    expire_time: Union[datetime, None, Unset] = UNSET
    jitter: Union[timedelta, None, Unset] = UNSET
    misfire: Union[Misfire, None, Unset] = UNSET
    misfire_grace: Union[timedelta, None, Unset] = UNSET
    misfire_cap: Union[int, Unset] = UNSET
    catchup_window: Union[timedelta, None, Unset] = UNSET
    overlap: Union[Overlap, None, Unset] = UNSET
    retry: Union[Retry, None, Unset] = UNSET
    dst: Union[Dst, None, Unset] = UNSET
    labels: Union[Mapping[str, str], Unset] = UNSET
    paused: Union[bool, Unset] = UNSET

    def __post_init__(self) -> None:
        for name in self.mask:
            _check(name, getattr(self, name))
        _check_together(self)

    @property
    def mask(self) -> tuple[str, ...]:
        """The names of the fields that change."""
        return tuple(it.name for it in dataclasses.fields(self) if getattr(self, it.name) is not UNSET)


SETTABLE = tuple(it.name for it in dataclasses.fields(Changes))
"""What a client sets of a timer, as the wire names it."""

_CHOICES: Mapping[str, type[Enum]] = {
    "durability": Durability,
    "isolation": Isolation,
    "effort": Effort,
    "misfire": Misfire,
    "overlap": Overlap,
}
_KINDS: Mapping[str, tuple[type, ...]] = {
    "schedule": (At, After, Every, Cron),
    "target": (Handler, Http, Command),
    "placement": (Movable, Pinned),
    "retry": (Retry, type(None)),
    "dst": (Dst, type(None)),
    "paused": (bool,),
}
_LENGTHS = {"jitter": timedelta(0), "misfire_grace": _MILLISECOND, "catchup_window": _CATCHUP_MIN}
_NUMBERS = {"max_occurrences": _U64_MAX, "misfire_cap": _MISFIRE_CAP_MAX}


def _check(name: str, value: object) -> None:
    """Whether the value of one field is right in itself."""
    path = f"timer.{name}"
    if name in _KINDS:
        if not isinstance(value, _KINDS[name]):
            raise invalid(path, f"must be one of {', '.join(it.__name__ for it in _KINDS[name])}")
    elif name in _CHOICES:
        _checks.choice(path, value, _CHOICES[name])  # type: ignore[arg-type]
    elif name in _NUMBERS:
        _checks.number(path, value, 0, _NUMBERS[name])  # type: ignore[arg-type]
    elif name in _LENGTHS:
        if value is not None:
            _checks.length(path, value, _LENGTHS[name])  # type: ignore[arg-type]
    elif name.endswith("_time"):
        if value is not None:
            _checks.instant(path, value)  # type: ignore[arg-type]
    elif name == "payload":
        _checks.payload(value)  # type: ignore[arg-type]
    elif name == "content_type":
        _checks.media_type(value)  # type: ignore[arg-type]
    else:
        _checks.labels(value)  # type: ignore[arg-type]


def _check_together(timer: Union[Timer, Changes]) -> None:
    """Whether the fields go together."""
    start, end = timer.start_time, timer.end_time
    if isinstance(start, datetime) and isinstance(end, datetime) and end <= start:
        raise invalid("timer.end_time", "must be after start_time")
    jitter, schedule = timer.jitter, timer.schedule
    if isinstance(jitter, timedelta) and isinstance(schedule, Every) and jitter >= schedule.interval:
        raise invalid("timer.jitter", "must be shorter than the interval")
