"""Instants and lengths of time, between Python and the wire.

Python counts microseconds; what the wire has beyond that is cut off when it is read.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def timestamp_to_wire(instant: datetime) -> Timestamp:
    """An instant that is known to have a zone."""
    seconds, micros = divmod((instant - _EPOCH) // _MICROSECOND, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def timestamp_from_wire(instant: Timestamp) -> datetime:
    """In UTC. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(seconds=instant.seconds, microseconds=instant.nanos // 1000)


def duration_to_wire(length: timedelta) -> Duration:
    """A length that is not negative."""
    seconds, micros = divmod(length // _MICROSECOND, 1_000_000)
    return Duration(seconds=seconds, nanos=micros * 1000)


def duration_from_wire(length: Duration) -> timedelta:
    """Raises OverflowError if it is longer than Python can say."""
    return timedelta(seconds=length.seconds, microseconds=int(length.nanos / 1000))
