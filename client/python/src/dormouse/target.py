"""What a timer runs, and where it may run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Mapping, Optional, Union
from urllib.parse import urlsplit

from . import _checks
from .errors import invalid

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_URL_MAX = 2048
_HEADERS_MAX = 32
_HEADER_BYTES_MAX = 4096
_RANGES_MAX = 16
_ARGS_MAX = 32
_ARG_BYTES_MAX = 1024
_TIMEOUT_MIN = timedelta(milliseconds=100)


@dataclass(frozen=True)
class Handler:
    """A connected worker of the pool that has this handler."""

    name: str

    def __post_init__(self) -> None:
        _checks.handler("timer.target.handler.name", self.name)


@dataclass(frozen=True)
class StatusRange:
    """Statuses of HTTP, both ends included; ``last`` is ``first`` if None."""

    first: int
    last: Optional[int] = None

    def __post_init__(self) -> None:
        path = "timer.target.http.success"
        _checks.number(path, self.first, 100, 599)
        if self.last is not None:
            _checks.number(path, self.last, self.first, 599)


@dataclass(frozen=True)
class Http:
    """An HTTP request with the payload as body, sent by the agent of the node that runs it."""

    url: str
    """``http`` or ``https``, without credentials. Loopback, private and metadata addresses are refused by agents
    unless their configuration allows them."""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: Optional[timedelta] = None
    """How long the answer may take: at least 100 ms; the attempt's own time-out if None."""
    success: tuple[StatusRange, ...] = ()
    """Statuses that are a success; 200 to 299 if empty."""
    signing_key: str = ""
    """The name of a key in the agent's configuration, with which the request is signed; not signed if empty."""

    def __post_init__(self) -> None:
        path = "timer.target.http"
        self._check_url(f"{path}.url")
        if self.method not in _METHODS:
            raise invalid(f"{path}.method", f"must be one of {', '.join(_METHODS)}")
        self._check_headers(f"{path}.headers")
        if self.timeout is not None:
            _checks.length(f"{path}.timeout", self.timeout, _TIMEOUT_MIN)
        if len(self.success) > _RANGES_MAX:
            raise invalid(f"{path}.success", f"at most {_RANGES_MAX} ranges are allowed")

    def _check_url(self, path: str) -> None:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        except ValueError:
            good = False
        visible = self.url.isascii() and self.url.isprintable() and " " not in self.url
        if not good or not visible or len(self.url) > _URL_MAX:
            rule = f"must be http:// or https:// with a host and without credentials, up to {_URL_MAX} characters"
            raise invalid(path, rule)

    def _check_headers(self, path: str) -> None:
        if len(self.headers) > _HEADERS_MAX:
            raise invalid(path, f"at most {_HEADERS_MAX} headers are allowed")
        for name, value in self.headers.items():
            if (
                len(name) + len(value.encode()) > _HEADER_BYTES_MAX
                or not name
                or any(c in name + value for c in "\r\n\0")
            ):
                raise invalid(path, f"{name[:64]!r}: at most {_HEADER_BYTES_MAX} bytes without CR, LF and NUL")


@dataclass(frozen=True)
class Command:
    """A command of the node, from its own allowlist, with the payload on its standard input."""

    name: str
    """An entry of the allowlist."""
    args: tuple[str, ...] = ()
    """Values for the entry's placeholders, in their order."""

    def __post_init__(self) -> None:
        path = "timer.target.command"
        _checks.identifier(f"{path}.name", self.name)
        if len(self.args) > _ARGS_MAX:
            raise invalid(f"{path}.args", f"at most {_ARGS_MAX} values are allowed")
        for at, arg in enumerate(self.args):
            if len(arg.encode()) > _ARG_BYTES_MAX or "\0" in arg:
                raise invalid(f"{path}.args[{at}]", f"must have at most {_ARG_BYTES_MAX} bytes without NUL")


Target = Union[Handler, Http, Command]


@dataclass(frozen=True)
class Movable:
    """On any node of its pool that has the handler."""


@dataclass(frozen=True)
class Pinned:
    """On one node only, and it waits for that. At an agent an empty ``node`` means the agent's own."""

    node: str = ""

    def __post_init__(self) -> None:
        _checks.optional_identifier("timer.placement.pinned.node", self.node)


Placement = Union[Movable, Pinned]
