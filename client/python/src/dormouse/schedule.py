"""When a timer is due: one of four schedules, none of which can be built wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional, Union

from . import _checks
from .errors import invalid

_INTERVAL_MIN = timedelta(milliseconds=100)
_EXPRESSION_MAX = 1024


@dataclass(frozen=True)
class At:
    """Once, at this instant; in the past means now. The datetime must have a zone."""

    time: datetime

    def __post_init__(self) -> None:
        _checks.instant("timer.schedule.at", self.time)


@dataclass(frozen=True)
class After:
    """Once, this long after the request is accepted. Time in suspend counts."""

    wait: timedelta

    def __post_init__(self) -> None:
        _checks.length("timer.schedule.after", self.wait)


@dataclass(frozen=True)
class Every:
    """Again and again, at a fixed distance of at least 100 ms, by elapsed time."""

    interval: timedelta
    phase: Optional[timedelta] = None
    """At multiples of ``interval`` since 1970 plus this; if None, counted from the acceptance of the request."""

    def __post_init__(self) -> None:
        path = "timer.schedule.every"
        _checks.length(f"{path}.interval", self.interval, _INTERVAL_MIN)
        _checks.whole_milliseconds(f"{path}.interval", self.interval)
        if self.phase is not None:
            _checks.length(f"{path}.phase", self.phase)
            _checks.whole_milliseconds(f"{path}.phase", self.phase)
            if self.phase >= self.interval:
                raise invalid(f"{path}.phase", "must be shorter than the interval")


@dataclass(frozen=True)
class Cron:
    """Again and again, by the calendar."""

    expression: str
    """Five fields, or six with seconds first, or a macro such as ``@hourly``."""
    zone: str = ""
    """An IANA time zone such as ``Europe/Berlin``; UTC if empty, never the machine's."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.expression) <= _EXPRESSION_MAX or not self.expression.strip():
            raise invalid("timer.schedule.cron.expression", f"must have 1 to {_EXPRESSION_MAX} characters")


Schedule = Union[At, After, Every, Cron]
