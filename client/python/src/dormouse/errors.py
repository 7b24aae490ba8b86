"""What went wrong, and what the caller may do next.

An answer's code and its ``google.rpc`` details become one exception here; nothing above this module looks at a status
of gRPC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Iterable, Optional, Union, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from ._times import duration_from_wire

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class FieldViolation:
    """One field that is wrong."""

    field: str
    """The path of the field, such as ``timer.schedule.cron.expression``; empty if unknown."""
    description: str
    """What is wrong, and what would be right."""


class Error(Exception):
    """Why a call did not do what was asked. Each code has a class of its own below."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    """The gRPC code that stands for this error."""
    may_have_changed: bool = False
    """Whether a change may have happened all the same. If so, look before asking for it with a new request."""
    hint: str = "Nothing changed."
    """What to do next."""

    def __init__(
        self,
        message: str,
        *,
        violations: Iterable[FieldViolation] = (),
        retry_after: Optional[timedelta] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        """The fields that are wrong, all of them at once."""
        self.retry_after = retry_after
        """When trying again helps; None if the answer did not say that it does."""

    @property
    def field(self) -> str:
        """The path of the first field that is wrong; empty if none is named."""
        return self.violations[0].field if self.violations else ""

    def __str__(self) -> str:
        if not self.violations:
            return self.message
        return "; ".join(f"{it.field}: {it.description}" if it.field else it.description for it in self.violations)


class BadAddress(Error, ValueError):
    """The address is not one. Nothing was sent."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    hint = "Nothing was sent: correct the address."


class InvalidArgument(Error, ValueError):
    """The request is wrong whatever the state; ``violations`` names the fields."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    hint = "Nothing changed: correct the fields that are named."


class OutOfRange(Error, ValueError):
    """A time lies beyond the horizon of ten years."""

    code = grpc.StatusCode.OUT_OF_RANGE
    hint = "Nothing changed: choose an earlier time."


class NotFound(Error):
    """There is nothing of that name."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(Error):
    """Another timer has that name."""

    code = grpc.StatusCode.ALREADY_EXISTS
    hint = "Nothing changed: choose another name, or use put()."


class Stale(Error):
    """It changed meanwhile: the etag, the token or the epoch is not the newest."""

    code = grpc.StatusCode.ABORTED
    hint = "Nothing changed: read it again and decide afresh."


class Refused(Error):
    """The state does not allow it."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    hint = "Nothing changed: change the state first."


class Exhausted(Error):
    """A bound is reached: of the rate if there is a ``retry_after``, else of a quota."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    hint = "Nothing changed: try again after retry_after, or, without it, raise the bound."


class Unavailable(Error):
    """Nobody can decide it just now, or nobody answered."""

    code = grpc.StatusCode.UNAVAILABLE
    may_have_changed = True
    hint = "A change may have happened; with retry_after, trying again then helps."


class TimedOut(Error):
    """There was no answer in time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    may_have_changed = True
    hint = "A change may have happened: look."


class Denied(Error):
    """This caller may not do that."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unimplemented(Error):
    """Whoever answered does not do that (yet)."""

    code = grpc.StatusCode.UNIMPLEMENTED
    hint = "Nothing changed: ask another (agent or coordinator), or a newer one."


class BadAnswer(Error):
    """The answer makes no sense to this version of the client."""

    code = grpc.StatusCode.INTERNAL
    may_have_changed = True
    hint = "A change may have happened: look, and use a newer client."


class Broken(Error):
    """Something is broken on the other side."""

    may_have_changed = True
    hint = "A change may have happened: look, and read the log of the other side."

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        violations: Iterable[FieldViolation] = (),
        retry_after: Optional[timedelta] = None,
    ) -> None:
        super().__init__(message, violations=violations, retry_after=retry_after)
        self.code = code


_CLASSES: dict[grpc.StatusCode, type[Error]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.ABORTED: Stale,
    grpc.StatusCode.FAILED_PRECONDITION: Refused,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Exhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
    grpc.StatusCode.CANCELLED: TimedOut,
    grpc.StatusCode.PERMISSION_DENIED: Denied,
    grpc.StatusCode.UNAUTHENTICATED: Denied,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
}


def invalid(field: str, description: str) -> InvalidArgument:
    """The request is wrong in one field, as this side found."""
    return InvalidArgument(description, violations=[FieldViolation(field, description)])


def from_rpc(error: grpc.aio.AioRpcError, address: str) -> Error:
    """Reads why a call failed; ``address`` names who was called."""
    metadata = cast("Iterable[tuple[str, Union[str, bytes]]]", error.trailing_metadata() or ())
    for key, value in metadata:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return _from_details(error.code(), error.details() or "", value)
    message = error.details() or error.code().name
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        # Whoever answers sends details, so this was made on this side.
        message = f"cannot reach {address}: {message}"
    return _made(error.code(), message, (), None)


def from_status(status: status_pb2.Status) -> Error:
    """Reads an item of a batch that was refused."""
    return _read(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status)


def worth_reconnecting(error: Error) -> bool:
    """Whether a stream that ended so may be opened again: nobody has to change something first."""
    return not isinstance(error, (InvalidArgument, OutOfRange, Denied, Unimplemented))


def _from_details(code: grpc.StatusCode, message: str, encoded: bytes) -> Error:
    try:
        status = status_pb2.Status.FromString(encoded)
    except Exception:  # The details are not readable, but the code is.
        return _made(code, message, (), None)
    status.message = status.message or message
    return _read(code, status)


def _read(code: grpc.StatusCode, status: status_pb2.Status) -> Error:
    violations: list[FieldViolation] = []
    retry_after: Optional[timedelta] = None
    for detail in status.details:
        known: Union[error_details_pb2.BadRequest, error_details_pb2.RetryInfo]
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            known = error_details_pb2.BadRequest()
            detail.Unpack(known)
            violations += [FieldViolation(it.field, it.description) for it in known.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            known = error_details_pb2.RetryInfo()
            detail.Unpack(known)
            retry_after = duration_from_wire(known.retry_delay)
    return _made(code, status.message, violations, retry_after)


def _made(
    code: grpc.StatusCode, message: str, violations: Iterable[FieldViolation], retry_after: Optional[timedelta]
) -> Error:
    made = _CLASSES.get(code)
    if made is None:
        return Broken(message, code=code, violations=violations, retry_after=retry_after)
    return made(message, violations=violations, retry_after=retry_after)
