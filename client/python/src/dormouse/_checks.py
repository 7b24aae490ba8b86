"""The form of what is asked for, checked before anything is sent.

The rules are those of the wire; whoever answers checks them again. What depends on the server (the horizon, the grammar
of cron, whether a node exists) is left to the answer.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import Enum
from typing import Mapping, Optional, TypeVar

from .errors import invalid

_ID = re.compile(r"[a-z0-9](?:[-a-z0-9._]{0,61}[a-z0-9])?")
_ID_RULE = "must be 1 to 63 characters of a-z, 0-9, '-', '.', '_', with a letter or digit at both ends"
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_MEDIA_TYPE = re.compile(r"[\x20-\x7e]*")
_RUN = re.compile(r"[0-9a-f]{16}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HANDLER_MAX = 255
_MEDIA_TYPE_MAX = 255
_LABELS_MAX = 64
_LABEL_MAX = 63
_PAYLOAD_MAX = 1 << 20
_PAGE_MAX = 1000

E = TypeVar("E", bound=Enum)


def identifier(field: str, text: str) -> str:
    """Accepts ``[a-z0-9]([-a-z0-9._]{0,61}[a-z0-9])?``."""
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise invalid(field, _ID_RULE)
    return text


def optional_identifier(field: str, text: str) -> str:
    """As :func:`identifier`, or empty."""
    return identifier(field, text) if text else ""


def handler(field: str, text: str) -> str:
    """Accepts 1 to 255 visible ASCII characters that do not begin with ``dormouse:``."""
    if not isinstance(text, str) or not _VISIBLE.fullmatch(text) or len(text) > _HANDLER_MAX:
        raise invalid(field, "must be 1 to 255 visible ASCII characters")
    if text.startswith("dormouse:"):
        raise invalid(field, "must not begin with dormouse:, which is kept for Dormouse itself")
    return text


def timer_name(text: str, field: str = "name") -> str:
    """Accepts ``pools/POOL/timers/TIMER`` and ``pools/POOL/nodes/NODE/timers/TIMER``."""
    parts = text.split("/") if isinstance(text, str) else []
    well_formed = parts[:1] == ["pools"] and (
        (len(parts) == 4 and parts[2] == "timers") or (len(parts) == 6 and parts[2] == "nodes" and parts[4] == "timers")
    )
    if not well_formed:
        raise invalid(field, "must be pools/POOL/timers/TIMER or pools/POOL/nodes/NODE/timers/TIMER")
    for part in parts[1::2]:
        identifier(field, part)
    return text


def instant(field: str, value: datetime) -> datetime:
    """Accepts instants with a zone, from 1970 on."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise invalid(field, "must be a datetime with a time zone, such as datetime.now(timezone.utc)")
    if value.timestamp() < 0:
        raise invalid(field, "must not be before 1970")
    return value


def length(
    field: str, value: timedelta, least: timedelta = timedelta(0), most: Optional[timedelta] = None
) -> timedelta:
    """Accepts lengths of time from ``least`` to ``most``."""
    if not isinstance(value, timedelta):
        raise invalid(field, "must be a timedelta")
    if value < least:
        raise invalid(field, "must not be negative" if not least else f"must be at least {least}")
    if most is not None and value > most:
        raise invalid(field, f"must be at most {most}")
    return value


def whole_milliseconds(field: str, value: timedelta) -> timedelta:
    """Accepts lengths of time without a part of a millisecond."""
    if value.microseconds % 1000:
        raise invalid(field, "must be a whole number of milliseconds")
    return value


def number(field: str, value: int, least: int, most: int) -> int:
    """Accepts whole numbers from ``least`` to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(field, f"must be a whole number from {least} to {most}")
    return value


def page_size(value: int) -> int:
    """Accepts 0, for the server's choice, to 1000."""
    return number("page_size", value, 0, _PAGE_MAX)


def choice(field: str, value: Optional[E], kind: type[E]) -> Optional[E]:
    """Accepts values of the enum ``kind`` that can be asked for, or None for the default."""
    if value is None:
        return None
    if not isinstance(value, kind) or value.name == "UNKNOWN":
        raise invalid(field, f"must be a value of {kind.__name__}")
    return value


def payload(value: bytes) -> bytes:
    """Accepts bytes up to what any server takes; most take less and say so."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise invalid("timer.payload", "must be bytes; encode text first")
    if len(value) > _PAYLOAD_MAX:
        raise invalid("timer.payload", f"has {len(value)} bytes; no server takes more than {_PAYLOAD_MAX}")
    return bytes(value)


def media_type(value: str) -> str:
    """Accepts up to 255 visible ASCII characters and spaces."""
    if not _MEDIA_TYPE.fullmatch(value) or len(value) > _MEDIA_TYPE_MAX:
        raise invalid("timer.content_type", "must be at most 255 visible ASCII characters")
    return value


def labels(value: Mapping[str, str], field: str = "timer.labels") -> dict[str, str]:
    """Accepts up to 64 labels, each of at most 63 bytes on both sides."""
    if len(value) > _LABELS_MAX:
        raise invalid(field, f"has {len(value)} labels; at most {_LABELS_MAX} are allowed")
    for key, text in value.items():
        if not key or any(len(part.encode()) > _LABEL_MAX or _CONTROL.search(part) for part in (key, text)):
            rule = "key and value must have at most 63 bytes without control characters, the key at least one"
            raise invalid(f'{field}["{key[:_LABEL_MAX]}"]', rule)
    return dict(value)


def run(field: str, text: str) -> str:
    """Accepts the id of a run: 16 hexadecimal digits."""
    if not isinstance(text, str) or not _RUN.fullmatch(text):
        raise invalid(field, "must be 16 hexadecimal digits, as RunRecord.run has them")
    return text
