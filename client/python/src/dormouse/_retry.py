"""When to try again: only if the answer said that this helps, a bounded number of times, never in step with others."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Optional

from .errors import Error

_BACKOFF_MIN_S = 0.1
_BACKOFF_MAX_S = 5.0
_DOUBLINGS_MAX = 16


@dataclass(frozen=True)
class Retries:
    """How often a refused call is tried again, and how long it may wait for that."""

    attempts_max: int = 4
    """Attempts in all, the first one included."""
    wait_max_s: float = 15.0
    """An answer that says "later than this" is given to the caller instead. It covers a lease."""

    def wait_s(self, attempt: int, error: Error) -> Optional[float]:
        """How long to wait before the next attempt; None if ``error`` is the caller's. ``attempt`` counts from 1."""
        if error.retry_after is None or attempt >= self.attempts_max:
            return None
        told = error.retry_after.total_seconds()
        return None if told > self.wait_max_s else told + full_jitter_s(attempt)


def full_jitter_s(attempt: int) -> float:
    """A random wait between nothing and a bound that doubles with each attempt, so that many callers that failed
    together do not return together."""
    doublings = min(max(attempt - 1, 0), _DOUBLINGS_MAX)
    return random.uniform(0, min(_BACKOFF_MIN_S * 2.0**doublings, _BACKOFF_MAX_S))
