"""What is wrong by itself cannot be built, and what is right is sent as it was asked for."""

from __future__ import annotations

import math
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import pytest

import dormouse
from dormouse import (
    After,
    At,
    Changes,
    Command,
    Cron,
    Dst,
    DstGap,
    Durability,
    Every,
    Handler,
    Http,
    Misfire,
    Movable,
    Overlap,
    Pinned,
    Retry,
    StatusRange,
    Timer,
    TimerState,
    _address,
    _checks,
    _wire,
)
from dormouse._request_id import request_id
from dormouse._retry import Retries, full_jitter_s
from dormouse.v1 import timer_pb2 as pb

SECOND = timedelta(seconds=1)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
HTTP = "timer.target.http"


def timer(**fields: Any) -> Timer:
    return Timer(**{"schedule": After(SECOND), "target": Handler("h"), **fields})


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: At(datetime(2026, 1, 1)), "timer.schedule.at"),
    (lambda: At(datetime(1969, 1, 1, tzinfo=timezone.utc)), "timer.schedule.at"),
    (lambda: After(-SECOND), "timer.schedule.after"),
    (lambda: Every(timedelta(0)), "timer.schedule.every.interval"),
    (lambda: Every(timedelta(milliseconds=99)), "timer.schedule.every.interval"),
    (lambda: Every(timedelta(seconds=1, microseconds=1)), "timer.schedule.every.interval"),
    (lambda: Every(SECOND, SECOND), "timer.schedule.every.phase"),
    (lambda: Cron(""), "timer.schedule.cron.expression"),
    (lambda: Cron("*" * 1025), "timer.schedule.cron.expression"),
    (lambda: Handler(""), "timer.target.handler.name"),
    (lambda: Handler("a b"), "timer.target.handler.name"),
    (lambda: Handler("dormouse:x"), "timer.target.handler.name"),
    (lambda: Http("example.org/x"), f"{HTTP}.url"),
    (lambda: Http("file:///etc/passwd"), f"{HTTP}.url"),
    (lambda: Http("http://user:secret@example.org"), f"{HTTP}.url"),
    (lambda: Http("http://[::1"), f"{HTTP}.url"),
    (lambda: Http("http://h/\r\nX: y"), f"{HTTP}.url"),
    (lambda: Http("http://h", method="BREW"), f"{HTTP}.method"),
    (lambda: Http("http://h", headers={"X": "a\r\nb"}), f"{HTTP}.headers"),
    (lambda: Http("http://h", timeout=timedelta(milliseconds=1)), f"{HTTP}.timeout"),
    (lambda: StatusRange(99), f"{HTTP}.success"),
    (lambda: StatusRange(300, 200), f"{HTTP}.success"),
    (lambda: Command("../sh"), "timer.target.command.name"),
    (lambda: Command("backup", ("a\0b",)), "timer.target.command.args[0]"),
    (lambda: Pinned(".."), "timer.placement.pinned.node"),
    (lambda: Retry(max_attempts=0), "timer.retry.max_attempts"),
    (lambda: Retry(max_attempts=101), "timer.retry.max_attempts"),
    (lambda: Retry(backoff_min=SECOND, backoff_max=SECOND / 2), "timer.retry.backoff_max"),
    (lambda: Retry(backoff_factor=math.nan), "timer.retry.backoff_factor"),
    (lambda: Retry(attempt_timeout=timedelta(0)), "timer.retry.attempt_timeout"),
    (lambda: Dst(gap="skip"), "timer.dst.gap"),  # type: ignore[arg-type]
    (lambda: timer(name="Upper"), "timer_id"),
    (lambda: timer(pool="a/b"), "pool"),
    (lambda: timer(schedule=SECOND), "timer.schedule"),
    (lambda: timer(target="h"), "timer.target"),
    (lambda: timer(payload="text"), "timer.payload"),
    (lambda: timer(payload=bytes((1 << 20) + 1)), "timer.payload"),
    (lambda: timer(content_type="a\nb"), "timer.content_type"),
    (lambda: timer(durability=4), "timer.durability"),
    (lambda: timer(max_occurrences=-1), "timer.max_occurrences"),
    (lambda: timer(misfire_cap=1001), "timer.misfire_cap"),
    (lambda: timer(start_time=NOW, end_time=NOW), "timer.end_time"),
    (lambda: timer(schedule=Every(SECOND), jitter=SECOND), "timer.jitter"),
    (lambda: timer(jitter=-SECOND), "timer.jitter"),
    (lambda: timer(catchup_window=59 * SECOND), "timer.catchup_window"),
    (lambda: timer(labels={"": "v"}), 'timer.labels[""]'),
    (lambda: timer(labels={"k": "v" * 64}), 'timer.labels["k"]'),
    (lambda: timer(labels={f"k{n}": "v" for n in range(65)}), "timer.labels"),
    (lambda: Changes(schedule=None), "timer.schedule"),  # type: ignore[arg-type]
    (lambda: Changes(start_time=NOW, end_time=NOW), "timer.end_time"),
    (lambda: dormouse.Client("http://h", attempts=0), "attempts"),
    (lambda: dormouse.Client("http://h").worker(concurrency=0), "concurrency"),
]


@pytest.mark.parametrize(("build", "field"), WRONG)
def test_what_is_wrong_by_itself_is_refused_before_anything_is_sent(build: Callable[[], object], field: str) -> None:
    with pytest.raises(dormouse.InvalidArgument) as refused:
        build()
    assert refused.value.field == field
    assert refused.value.violations[0].description
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("good", ["a", "7", "a-b.c_d", "n1", "a" * 63])
def test_well_formed_ids_pass(good: str) -> None:
    assert _checks.identifier("f", good) == good


@pytest.mark.parametrize("bad", ["", "A", "a b", "a/b", "..", "-a", "a-", "ä", "a\0b", "a\n", "a" * 64])
def test_other_ids_do_not(bad: str) -> None:
    with pytest.raises(dormouse.InvalidArgument):
        _checks.identifier("f", bad)


@pytest.mark.parametrize(
    "bad",
    ["t", "pools/p/timers/", "pools//timers/t", "pools/p/nodes/timers/t", "pools/p/timers/t/x", "/pools/p/timers/t"],
)
def test_only_full_names_are_names_of_timers(bad: str) -> None:
    with pytest.raises(dormouse.InvalidArgument) as refused:
        _checks.timer_name(bad)
    assert refused.value.field == "name"
    assert _checks.timer_name("pools/p/nodes/n/timers/t")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("http://127.0.0.1:7400", "dns:127.0.0.1:7400"),
        ("http://[::1]:7400/", "dns:[::1]:7400"),
        ("http://host", "dns:host:80"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:a.sock", "unix:a.sock"),
        ("unix:///a", "unix:/a"),
    ],
)
def test_both_forms_of_address_are_understood(address: str, target: str) -> None:
    assert _address.target(address) == target


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:7400",
        "https://host",
        "unix:",
        "unix://",
        "http://",
        "http://a@b",
        "http://a/b",
        "http://a b",
        "http://a:99999",
    ],
)
def test_any_other_address_is_refused_with_a_reason(address: str) -> None:
    with pytest.raises(dormouse.BadAddress, match="bad address"):
        dormouse.Client(address)


def test_a_timer_has_exactly_what_was_asked_for() -> None:
    asked = timer(
        schedule=Cron("0 8 * * *", "Europe/Berlin"),
        target=Http(
            "https://h/x", headers={"X": "y"}, timeout=SECOND, success=(StatusRange(200, 204), StatusRange(302))
        ),
        placement=Pinned("n1"),
        durability=Durability.REPLICATED_ASYNC,
        misfire=Misfire.ALL,
        misfire_cap=7,
        overlap=Overlap.BUFFER_ONE,
        start_time=NOW,
        jitter=timedelta(milliseconds=1500),
        retry=Retry(max_attempts=3),
        dst=Dst(gap=DstGap.SKIP),
        labels={"team": "sales"},
        max_occurrences=5,
        paused=True,
        payload=b"p",
    )
    wire = _wire.timer_to_wire(asked)
    assert wire.schedule.cron == pb.Cron(expression="0 8 * * *", zone="Europe/Berlin")
    assert [(it.first, it.last) for it in wire.target.http.success] == [(200, 204), (302, 0)]
    assert (wire.durability, wire.misfire, wire.overlap) == (3, 3, 4)
    assert (wire.isolation, wire.effort) == (0, 0)
    assert (wire.start_time.seconds, wire.jitter.seconds, wire.jitter.nanos) == (1772366400, 1, 500_000_000)
    assert (wire.retry.max_attempts, wire.dst.gap, wire.dst.overlap) == (3, 2, 0)
    assert not wire.HasField("end_time") and not wire.HasField("misfire_grace")
    back = _wire.timer_info(_named(wire))
    for name in ("schedule", "target", "placement", "durability", "misfire", "overlap", "start_time", "retry", "dst"):
        assert getattr(back, name) == getattr(asked, name), name


def _named(wire: pb.Timer) -> pb.Timer:
    wire.name = "pools/p/timers/t"
    return wire


def test_every_value_of_every_enum_goes_there_and_back() -> None:
    for kind in _wire._WRAPPERS:
        known = [it for it in kind if it.name != "UNKNOWN"]
        numbers = [_wire.enum_to_wire(it) for it in known]
        assert sorted(numbers) == sorted(_wire._WRAPPERS[kind].values())[1:], kind
        assert [_wire.enum_from_wire(kind, number) for number in numbers] == known


def test_what_a_newer_server_knows_is_unknown_and_no_error() -> None:
    wire = pb.Timer(name="pools/p/timers/t")
    wire.MergeFromString(b"\xc0\x02\xe7\x07\x38\x63")  # state 999, durability 99
    read = _wire.timer_info(wire)
    assert (read.state, read.durability) == (TimerState.UNKNOWN, None)
    assert (read.schedule, read.target, read.placement) == (None, None, Movable())


def test_an_absurd_answer_is_a_bad_answer() -> None:
    absurd = pb.Timer(name="pools/p/timers/t")
    absurd.create_time.seconds = 1 << 62
    for wire in (pb.Timer(), absurd):
        with pytest.raises(dormouse.BadAnswer, match="makes no sense"):
            _wire.understood(_wire.timer_info, wire)


def test_a_change_names_what_it_changes_and_none_sets_the_default_again() -> None:
    changes = Changes(payload=b"", end_time=None, paused=False)
    assert changes.mask == ("payload", "end_time", "paused")
    assert _wire.timer_to_wire(changes, changes.mask) == pb.Timer()


def test_request_ids_are_of_version_7_and_grow() -> None:
    ids = [uuid.UUID(request_id()) for _ in range(100)]
    assert all(it.version == 7 and it.variant == uuid.RFC_4122 for it in ids)
    assert len(set(ids)) == 100
    millis = [it.int >> 80 for it in ids]
    assert millis == sorted(millis)
    assert abs(millis[0] / 1000 - datetime.now(timezone.utc).timestamp()) < 60


def test_it_never_returns_before_it_was_told() -> None:
    told = dormouse.Unavailable("later", retry_after=2 * SECOND)
    wait_s = Retries(attempts_max=3).wait_s(1, told)
    assert wait_s is not None and 2.0 <= wait_s <= 2.1


def test_it_gives_up_untold_or_after_the_last_attempt_or_if_told_to_wait_too_long() -> None:
    retries = Retries(attempts_max=3, wait_max_s=10)
    assert retries.wait_s(1, dormouse.Unavailable("down")) is None
    assert retries.wait_s(3, dormouse.Unavailable("", retry_after=SECOND)) is None
    assert retries.wait_s(1, dormouse.Unavailable("", retry_after=11 * SECOND)) is None


def test_jitter_stays_within_its_bound_for_any_number_of_attempts() -> None:
    for attempt in (1, 2, 7, 33, 1 << 40):
        assert 0 <= full_jitter_s(attempt) <= 5
    assert full_jitter_s(1) <= 0.1
