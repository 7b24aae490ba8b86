"""A fresh id for a change: a UUID of version 7, which grows with time, so that old ones can be told from new ones."""

from __future__ import annotations

import os
import time
import uuid


def request_id() -> str:
    """As RFC 9562 lays it out: 48 bits of milliseconds, the version, and random bits."""
    millis = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80 | chance
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return str(uuid.UUID(int=value))
