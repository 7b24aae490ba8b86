"""The choices that a timer has, each with the meaning that docs/design/semantics.md gives it.

None everywhere means the default, which the answer fills in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Optional

from . import _checks
from .errors import invalid


class Durability(Enum):
    """What an acknowledged change survives. The default is REPLICATED for movable timers, LOCAL for pinned ones."""

    EPHEMERAL = "ephemeral"
    """Nothing but idleness: it is in the agent's memory."""
    LOCAL = "local"
    """A crash of the agent, and a reboot."""
    REPLICATED_ASYNC = "replicated_async"
    """Also the loss of the node, but for the last window."""
    REPLICATED = "replicated"
    """The loss of the node: it is committed by the coordinator."""


class Isolation(Enum):
    """What a home that runs but cannot reach the coordinator does with a movable timer past its lease.
    The default is FIRE, and HOLD for AT_MOST_ONCE."""

    FIRE = "fire"
    """Fires it: in a partition an occurrence may run once more elsewhere."""
    HOLD = "hold"
    """Holds it until the coordinator answers."""


class Effort(Enum):
    """How often an occurrence may be attempted. The default is AT_LEAST_ONCE."""

    AT_LEAST_ONCE = "at_least_once"
    """Tried again until the retry policy is used up."""
    AT_MOST_ONCE = "at_most_once"
    """The start is committed before launch; an unknown outcome is reported LOST."""


class Misfire(Enum):
    """What to do with occurrences that were missed while nobody could run them. The default is ONCE."""

    SKIP = "skip"
    """Runs none of them."""
    ONCE = "once"
    """Runs the latest one, which carries how many were missed."""
    ALL = "all"
    """Runs all of them, up to ``misfire_cap``."""


class Overlap(Enum):
    """What to do when an occurrence falls due while an earlier one of the same timer still runs.
    The default is SKIP."""

    SKIP = "skip"
    """Skips the new one."""
    ALLOW = "allow"
    """Runs both."""
    REPLACE = "replace"
    """Ends the right of the old one and runs the new one."""
    BUFFER_ONE = "buffer_one"
    """Keeps one waiting until the old one has ended."""


class DstGap(Enum):
    """A local time that does not exist because the clock was put forward. The default is SHIFT."""

    SHIFT = "shift"
    """Once, at the first instant after the gap."""
    SKIP = "skip"
    """Not at all."""


class DstOverlap(Enum):
    """A local time that exists twice because the clock was put back. The default is FIRST."""

    FIRST = "first"
    LAST = "last"
    BOTH = "both"


class RearmMode(Enum):
    """What a rearm does to a timer that waits for its next occurrence."""

    REPLACE = "replace"
    """Debounce: the new time replaces the old one."""
    KEEP_TIME = "keep_time"
    """Throttle: the old time stays, the payload of the request counts."""
    DROP = "drop"
    """First wins: nothing changes."""


@dataclass(frozen=True)
class Retry:
    """How a failed attempt is tried again. "Nobody to run it" is not an attempt."""

    max_attempts: int = 5
    """Attempts in all: 1 to 100."""
    backoff_min: timedelta = timedelta(seconds=1)
    """The wait before the second attempt: 1 ms to 7 days."""
    backoff_max: timedelta = timedelta(minutes=5)
    """The longest wait: from ``backoff_min`` to 7 days."""
    backoff_factor: float = 2.0
    """Each wait is this many times the last: 1 to 10."""
    attempt_timeout: timedelta = timedelta(seconds=60)
    """An attempt that is neither settled nor extended for this long has failed: 1 s to 1 day. A
    :class:`~dormouse.Worker` extends."""

    def __post_init__(self) -> None:
        path, least = "timer.retry", timedelta(milliseconds=1)
        _checks.number(f"{path}.max_attempts", self.max_attempts, 1, 100)
        _checks.length(f"{path}.backoff_min", self.backoff_min, least)
        _checks.length(f"{path}.backoff_max", self.backoff_max, least)
        _checks.length(f"{path}.attempt_timeout", self.attempt_timeout, least)
        if self.backoff_max < self.backoff_min:
            raise invalid(f"{path}.backoff_max", "must not be shorter than backoff_min")
        if not math.isfinite(self.backoff_factor) or not 1 <= self.backoff_factor <= 10:
            raise invalid(f"{path}.backoff_factor", "must be 1 to 10")


@dataclass(frozen=True)
class Dst:
    """What a cron schedule does at the two changes of the clocks."""

    gap: Optional[DstGap] = None
    overlap: Optional[DstOverlap] = None

    def __post_init__(self) -> None:
        _checks.choice("timer.dst.gap", self.gap, DstGap)
        _checks.choice("timer.dst.overlap", self.overlap, DstOverlap)
