"""Between the plain values of this package and the messages of the wire. Nothing else knows both."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Callable, Optional, TypeVar, Union, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from . import info
from ._times import duration_from_wire, duration_to_wire, timestamp_from_wire, timestamp_to_wire
from .errors import BadAnswer, Error
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
from .timer import SETTABLE, Changes, Timer
from .v1 import timer_pb2 as pb

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

_WRAPPERS: dict[type[Enum], Any] = {
    Durability: pb.Durability,
    Isolation: pb.Isolation,
    Effort: pb.Effort,
    Misfire: pb.Misfire,
    Overlap: pb.Overlap,
    DstGap: pb.DstGap,
    DstOverlap: pb.DstOverlap,
    RearmMode: pb.RearmMode,
    info.TimerState: pb.TimerState,
    info.RunState: pb.RunState,
    info.CancelOutcome: pb.CancelOutcome,
}


# ---- enums: a value is called KIND_VALUE on the wire


def _prefix(wrapper: EnumTypeWrapper) -> str:
    unspecified: str = wrapper.Name(0)
    return unspecified[: -len("UNSPECIFIED")]


def enum_to_wire(value: Optional[Enum]) -> Any:
    """The number of a value; 0, which asks for the default, for None."""
    if value is None:
        return 0
    wrapper = _WRAPPERS[type(value)]
    return wrapper.Value(_prefix(wrapper) + value.name)


def enum_from_wire(kind: type[E], number: int) -> Optional[E]:
    """None for a value that was left out, or that this version does not know."""
    wrapper = _WRAPPERS[kind]
    if number == 0 or number not in wrapper.values():
        return None
    name = wrapper.Name(number)[len(_prefix(wrapper)) :]
    return kind.__members__.get(name)


# ---- requests


def timer_to_wire(timer: Union[Timer, Changes], names: tuple[str, ...] = SETTABLE) -> pb.Timer:
    """The message with the fields of these names."""
    wire = pb.Timer()
    for name in names:
        _set(wire, name, getattr(timer, name))
    return wire


def _set(wire: pb.Timer, name: str, value: object) -> None:
    if name in _PARTS:
        if value is not None:
            getattr(wire, name).CopyFrom(_PARTS[name](value))
    elif isinstance(value, datetime):
        getattr(wire, name).CopyFrom(timestamp_to_wire(value))
    elif isinstance(value, timedelta):
        getattr(wire, name).CopyFrom(duration_to_wire(value))
    elif isinstance(value, Enum):
        setattr(wire, name, enum_to_wire(value))
    elif name == "labels":
        wire.labels.update(cast("dict[str, str]", value))
    elif name == "payload":
        wire.payload = bytes(cast(bytes, value))
    elif value is not None:
        setattr(wire, name, value)


def schedule_to_wire(schedule: Schedule) -> pb.Schedule:
    if isinstance(schedule, At):
        return pb.Schedule(at=timestamp_to_wire(schedule.time))
    if isinstance(schedule, After):
        return pb.Schedule(after=duration_to_wire(schedule.wait))
    if isinstance(schedule, Every):
        every = pb.Every(interval=duration_to_wire(schedule.interval))
        if schedule.phase is not None:
            every.phase.CopyFrom(duration_to_wire(schedule.phase))
        return pb.Schedule(every=every)
    return pb.Schedule(cron=pb.Cron(expression=schedule.expression, zone=schedule.zone))


def _target_to_wire(target: Target) -> pb.Target:
    if isinstance(target, Handler):
        return pb.Target(handler=pb.HandlerTarget(name=target.name))
    if isinstance(target, Command):
        return pb.Target(command=pb.CommandTarget(name=target.name, args=target.args))
    http = pb.HttpTarget(
        url=target.url, method=target.method, headers=dict(target.headers), signing_key=target.signing_key
    )
    if target.timeout is not None:
        http.timeout.CopyFrom(duration_to_wire(target.timeout))
    for statuses in target.success:
        http.success.add(first=statuses.first, last=statuses.last or 0)
    return pb.Target(http=http)


def _placement_to_wire(placement: Placement) -> pb.Placement:
    if isinstance(placement, Pinned):
        return pb.Placement(pinned=pb.Pinned(node=placement.node))
    return pb.Placement(movable=pb.Movable())


def _retry_to_wire(retry: Retry) -> pb.RetryPolicy:
    return pb.RetryPolicy(
        max_attempts=retry.max_attempts,
        backoff_min=duration_to_wire(retry.backoff_min),
        backoff_max=duration_to_wire(retry.backoff_max),
        backoff_factor=retry.backoff_factor,
        attempt_timeout=duration_to_wire(retry.attempt_timeout),
    )


def dst_to_wire(dst: Dst) -> pb.DstPolicy:
    return pb.DstPolicy(gap=enum_to_wire(dst.gap), overlap=enum_to_wire(dst.overlap))


_PARTS: dict[str, Callable[[Any], Message]] = {
    "schedule": schedule_to_wire,
    "target": _target_to_wire,
    "placement": _placement_to_wire,
    "retry": _retry_to_wire,
    "dst": dst_to_wire,
}


# ---- answers


def understood(read: Callable[[Any], T], message: Message) -> T:
    """Reads an answer; what makes no sense in it is a BadAnswer, whatever it is."""
    try:
        return read(message)
    except Error as error:
        raise BadAnswer(f"the answer makes no sense: {error}") from error
    except (OverflowError, ValueError) as error:
        raise BadAnswer(f"the answer makes no sense: it has an absurd time ({error})") from error


def timer_info(timer: pb.Timer) -> info.TimerInfo:
    if not timer.name:
        raise BadAnswer("it lacks the timer")
    return info.TimerInfo(
        name=timer.name,
        uid=timer.uid,
        state=enum_from_wire(info.TimerState, timer.state) or info.TimerState.UNKNOWN,
        home=timer.home,
        schedule=_schedule(timer.schedule),
        placement=_placement(timer.placement),
        target=_target(timer.target),
        payload=timer.payload,
        content_type=timer.content_type,
        durability=enum_from_wire(Durability, timer.durability),
        isolation=enum_from_wire(Isolation, timer.isolation),
        effort=enum_from_wire(Effort, timer.effort),
        start_time=_instant(timer, "start_time"),
        end_time=_instant(timer, "end_time"),
        max_occurrences=timer.max_occurrences,
        expire_time=_instant(timer, "expire_time"),
        jitter=_length(timer, "jitter"),
        misfire=enum_from_wire(Misfire, timer.misfire),
        misfire_grace=_length(timer, "misfire_grace"),
        misfire_cap=timer.misfire_cap,
        catchup_window=_length(timer, "catchup_window"),
        overlap=enum_from_wire(Overlap, timer.overlap),
        retry=_retry(timer.retry) if timer.HasField("retry") else None,
        dst=_dst(timer.dst) if timer.HasField("dst") else None,
        labels=dict(timer.labels),
        paused=timer.paused,
        generation=timer.generation,
        etag=timer.etag,
        next_times=tuple(timestamp_from_wire(time) for time in timer.next_times),
        last_run=run_record(timer.last_run) if timer.HasField("last_run") else None,
        create_time=_instant(timer, "create_time"),
        update_time=_instant(timer, "update_time"),
        skipped_count=timer.skipped_count,
        begun_count=timer.begun_count,
    )


def run_record(run: pb.RunRecord) -> info.RunRecord:
    return info.RunRecord(
        run=run.run,
        attempt=run.attempt,
        token=run.token,
        state=enum_from_wire(info.RunState, run.state) or info.RunState.UNKNOWN,
        reason=run.reason,
        node=run.node,
        nominal_time=_instant(run, "nominal_time"),
        due_time=_instant(run, "due_time"),
        launched_time=_instant(run, "launched_time"),
        finished_time=_instant(run, "finished_time"),
        missed_count=run.missed_count,
        timer=run.timer,
        generation=run.generation,
    )


def cancelled(response: pb.CancelTimerResponse) -> info.Cancelled:
    outcome = enum_from_wire(info.CancelOutcome, response.outcome)
    if outcome is None:
        raise BadAnswer(f"it has the unknown outcome {response.outcome}")
    return info.Cancelled(outcome, response.token)


def previewed(response: pb.PreviewScheduleResponse) -> list[info.PreviewedTime]:
    return [info.PreviewedTime(timestamp_from_wire(it.time), it.local_time, it.note) for it in response.times]


def changes(response: pb.WatchTimersResponse) -> list[info.Change]:
    """What one answer of a watch tells; nothing if a newer server tells what this version does not know."""
    told: list[info.Change] = []
    token = response.resume_token
    if response.reset:
        told.append(info.Reset(token))
    kind = response.WhichOneof("change")
    if kind == "timer":
        told.append(info.TimerChanged(timer_info(response.timer), token))
    elif kind == "removed":
        told.append(info.TimerRemoved(response.removed, token))
    elif kind == "run":
        told.append(info.RunChanged(run_record(response.run), token))
    return told


def _schedule(schedule: pb.Schedule) -> Optional[Schedule]:
    kind = schedule.WhichOneof("kind")
    if kind == "at":
        return At(timestamp_from_wire(schedule.at))
    if kind == "after":
        return After(duration_from_wire(schedule.after))
    if kind == "every":
        return Every(duration_from_wire(schedule.every.interval), _length(schedule.every, "phase"))
    if kind == "cron":
        return Cron(schedule.cron.expression, schedule.cron.zone)
    return None


def _placement(placement: pb.Placement) -> Placement:
    return Pinned(placement.pinned.node) if placement.WhichOneof("kind") == "pinned" else Movable()


def _target(target: pb.Target) -> Optional[Target]:
    kind = target.WhichOneof("kind")
    if kind == "handler":
        return Handler(target.handler.name)
    if kind == "command":
        return Command(target.command.name, tuple(target.command.args))
    if kind == "http":
        http = target.http
        return Http(
            url=http.url,
            method=http.method or "POST",
            headers=dict(http.headers),
            timeout=_length(http, "timeout"),
            success=tuple(StatusRange(it.first, it.last or None) for it in http.success),
            signing_key=http.signing_key,
        )
    return None


def _retry(retry: pb.RetryPolicy) -> Retry:
    default = Retry()
    return Retry(
        max_attempts=retry.max_attempts or default.max_attempts,
        backoff_min=_length(retry, "backoff_min") or default.backoff_min,
        backoff_max=_length(retry, "backoff_max") or default.backoff_max,
        backoff_factor=retry.backoff_factor or default.backoff_factor,
        attempt_timeout=_length(retry, "attempt_timeout") or default.attempt_timeout,
    )


def _dst(dst: pb.DstPolicy) -> Dst:
    return Dst(enum_from_wire(DstGap, dst.gap), enum_from_wire(DstOverlap, dst.overlap))


def _instant(message: Message, name: str) -> Optional[datetime]:
    if not message.HasField(name):
        return None
    return timestamp_from_wire(cast(Timestamp, getattr(message, name)))


def _length(message: Message, name: str) -> Optional[timedelta]:
    if not message.HasField(name):
        return None
    return duration_from_wire(cast(Duration, getattr(message, name)))
