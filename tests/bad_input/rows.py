"""The table: what is sent, and what must be answered, exactly.

A row is (what it is, how it is sent, the code, the path of the field). "OK" rows are the neighbours of bad ones that
must pass. How things are sent is in send.py (calls), stories.py (several calls) and transport.py (bare connections).
Rows go to an agent and to the coordinator, unless they say where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import stories
import transport
from answers import Answer
from dormouse.v1 import timer_pb2 as pb
from send import call, create, raw, timer, updated

OK, INVALID, BEYOND = "OK", "INVALID_ARGUMENT", "OUT_OF_RANGE"
NOT_FOUND, CONFLICT, STATE = "NOT_FOUND", "ABORTED", "FAILED_PRECONDITION"
TOO_MUCH, NOT_THERE, BROKEN, LATE = "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL", "DEADLINE_EXCEEDED"
# What becomes of a connection.
ENDED, REFUSED, LIVES = "ENDED", "REFUSED", "LIVES"


@dataclass(frozen=True)
class Row:
    label: str
    send: Callable[[object, object], Answer]
    code: str
    field: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    name: str
    rows: tuple[Row, ...]
    places: tuple[str, ...] = ("agent", "coordinator")


AGENT, COORDINATOR = ("agent",), ("coordinator",)
I64_MAX, I64_MIN = (1 << 63) - 1, -(1 << 63)
YEAR = 366 * 86_400
MISSING = "pools/default/timers/missing"


def group(name: str, *rows: tuple, places: tuple[str, ...] = ("agent", "coordinator")) -> Group:
    return Group(name, tuple(Row(*row) for row in rows), places)


# ---- names

BAD_IDS = {
    "too long": "a" * 64,
    "10 kB": "a" * 10_000,
    "uppercase": "Upper",
    "a space": "a b",
    "a slash": "a/b",
    "dots": "..",
    "NUL": "a\0b",
    "a line end": "a\n",
    "a bidirectional mark": "a\u202eb",
    "a zero width space": "a\u200bb",
    "not ASCII": "schläfer",
    "fullwidth": "\uff41",
    "a dash first": "-a",
    "a dash last": "a-",
    "percent": "%2e%2e",
}
BAD_NAMES = {
    "empty": "",
    "a bare id": "t",
    "empty pool": "pools//timers/t",
    "empty id": "pools/default/timers/",
    "one part more": "pools/default/timers/t/x",
    "no node": "pools/default/nodes/timers/t",
    "a slash first": "/pools/default/timers/t",
    "another collection": "pools/default/jobs/t",
    **{f"id with {label}": f"pools/default/timers/{text}" for label, text in BAD_IDS.items()},
    **{f"pool with {label}": f"pools/{text}/timers/t" for label, text in BAD_IDS.items()},
}
NAMED = {
    "GetTimer": pb.GetTimerRequest,
    "CancelTimer": pb.CancelTimerRequest,
    "PauseTimer": pb.PauseTimerRequest,
    "ResumeTimer": pb.ResumeTimerRequest,
    "RunTimer": pb.RunTimerRequest,
    "ListRuns": pb.ListRunsRequest,
}

# ---- schedules

BAD_TIMES = {
    "just before 1970": ({"seconds": -1, "nanos": 999_999_999}, ""),
    "year 10000": ({"seconds": 253_402_300_800}, ""),
    "the largest": ({"seconds": I64_MAX}, ""),
    "the smallest": ({"seconds": I64_MIN}, ""),
    "the largest of both": ({"seconds": I64_MAX, "nanos": 999_999_999}, ""),
    "negative nanos": ({"seconds": 1, "nanos": -1}, ".nanos"),
    "a second of nanos": ({"seconds": 1, "nanos": 1_000_000_000}, ".nanos"),
}
BAD_LENGTHS = {
    "negative": ({"seconds": -1}, ""),
    "negative nanos": ({"nanos": -1}, ""),
    "mixed signs": ({"seconds": 1, "nanos": -1}, ""),
    "mixed signs the other way": ({"seconds": -1, "nanos": 1}, ""),
    "a second of nanos": ({"seconds": 1, "nanos": 1_000_000_000}, ".nanos"),
    "more than ten thousand years": ({"seconds": 315_576_000_001}, ""),
    "the largest": ({"seconds": I64_MAX, "nanos": 999_999_999}, ""),
    "the smallest": ({"seconds": I64_MIN, "nanos": -999_999_999}, ""),
}
BAD_CRONS = {
    "empty": "",
    "spaces": "     ",
    "4 fields": "* * * *",
    "8 fields": "* * * * * * * *",
    "minute 60": "60 * * * *",
    "hour 24": "0 24 * * *",
    "day 0": "0 0 0 * *",
    "day 32": "0 0 32 * *",
    "month 13": "0 0 1 13 *",
    "step 0": "*/0 * * * *",
    "a step larger than its field": "*/61 * * * *",
    "a negative step": "*/-1 * * * *",
    "a range backwards": "5-1 * * * *",
    "an open range": "5- * * * *",
    "an empty list item": "1,,2 * * * *",
    "a name of nothing": "0 0 * * FUNDAY",
    "an unknown macro": "@sometimes",
    "30 February": "0 0 30 2 *",
    "31 April": "0 0 31 4 *",
    "10 kB": "0," * 5_000 + "0 * * * *",
    "1,025 characters": "* * * * *" + " " * 1016,
    "NUL": "* * * * *\0",
    "not ASCII": "* * * * *️⃣",
    "a number too large": "99999999999999999999 * * * *",
    "a command": "* * * * * rm -rf /",
}
BAD_ZONES = {
    "of another planet": "Mars/Base",
    "a path": "../../etc/passwd",
    "an absolute path": "/etc/localtime",
    "NUL": "UTC\0",
    "a space": " UTC",
    "10 kB": "A" * 10_000,
    "an offset that is none": "+99:99",
    "POSIX": "CET-1CEST,M3.5.0,M10.5.0/3",
}


def scheduled(**schedule: object):
    return timer(schedule=schedule)


def lengths(path: str, build: Callable[[dict], object]) -> list[tuple]:
    return [(f"{path} {label}", build(value), INVALID, path + end) for label, (value, end) in BAD_LENGTHS.items()]


def times(path: str, build: Callable[[dict], object]) -> list[tuple]:
    return [(f"{path} {label}", build(value), INVALID, path + end) for label, (value, end) in BAD_TIMES.items()]


def each_second(**fields: object):
    return timer(schedule={"every": {"interval": {"seconds": 1}}}, **fields)


def daily(**fields: object):
    return timer(schedule={"cron": {"expression": "0 3 * * *"}}, **fields)


# ---- targets

HTTP = "timer.target.http"


def http(url: str = "https://example.org/x", **fields: object):
    return timer(target={"http": {"url": url, **fields}})


def command(name: str = "backup", *args: str):
    return timer(target={"command": {"name": name, "args": args}})


BAD_URLS = {
    "empty": "",
    "without a scheme": "example.org/x",
    "only a path": "/x",
    "of a file": "file:///etc/passwd",
    "gopher": "gopher://example.org",
    "javascript": "javascript:alert(1)",
    "with a user": "http://user@example.org",
    "with credentials": "https://user:secret@example.org",
    "without a host": "http://",
    "without a host, with a port": "http://:80/",
    "a port that is none": "http://example.org:99999/",
    "port 0": "http://example.org:0/",
    "an open bracket": "http://[::1",
    "a line end": "http://example.org/\r\nX-Other: 1",
    "a space": "http://example.org/a b",
    "NUL": "http://example.org/\0",
    "not ASCII": "http://exämple.org/",
    "2,049 characters": "http://example.org/" + "a" * 2_030,
}
LOCAL_ADDRESSES = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0177.0.0.1",
    "localhost",
    "LOCALHOST",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
]
METADATA_ADDRESSES = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "025177524776",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "192.168.0.1",
    "10.0.0.1",
    "172.16.0.1",
]

GROUPS = [
    group(
        "names of new timers",
        ("none: the server assigns one", timer(), OK),
        ("the longest", stories.longest_id, OK),
        *((f"id with {label}", create(timer_id=text), INVALID, "timer_id") for label, text in BAD_IDS.items()),
        *((f"pool with {label}", create(pool=text), INVALID, "pool") for label, text in BAD_IDS.items()),
        ("taken", create(timer_id="earlier"), "ALREADY_EXISTS"),
        *(
            (f"node with {label}", timer(placement={"pinned": {"node": text}}), INVALID, "timer.placement.pinned.node")
            for label, text in BAD_IDS.items()
        ),
        ("an unknown node", timer(placement={"pinned": {"node": "ghost"}}), STATE),
        ("no node", timer(placement={"pinned": {}}), INVALID, "timer.placement.pinned.node", COORDINATOR),
        ("movable, and not REPLICATED, without a home", timer(durability=pb.DURABILITY_LOCAL), STATE, "", COORDINATOR),
        ("no timer", create(timer=None), INVALID, "timer"),
        ("nothing at all", raw("CreateTimer", b""), INVALID, "timer"),
    ),
    group(
        "names of timers that are asked for",
        *(
            (f"{method}, {label}", call(method, request(name=text)), INVALID, "name")
            for method, request in NAMED.items()
            for label, text in BAD_NAMES.items()
        ),
        *((f"UpdateTimer, {label}", updated(name=text), INVALID, "timer.name") for label, text in BAD_NAMES.items()),
        *(
            (f"RearmTimer, {label}", call("RearmTimer", pb.RearmTimerRequest(name=text, after={})), INVALID, "name")
            for label, text in BAD_NAMES.items()
        ),
        ("GetTimer, missing", call("GetTimer", pb.GetTimerRequest(name=MISSING)), NOT_FOUND),
        ("PauseTimer, missing", call("PauseTimer", pb.PauseTimerRequest(name=MISSING)), NOT_FOUND),
        ("ResumeTimer, missing", call("ResumeTimer", pb.ResumeTimerRequest(name=MISSING)), NOT_FOUND),
        ("RunTimer, missing", call("RunTimer", pb.RunTimerRequest(name=MISSING)), NOT_FOUND),
        ("ListRuns, missing", call("ListRuns", pb.ListRunsRequest(name=MISSING)), NOT_FOUND),
        ("UpdateTimer, missing", updated(name=MISSING), NOT_FOUND),
        ("RearmTimer, missing", call("RearmTimer", pb.RearmTimerRequest(name=MISSING, after={})), NOT_FOUND),
        ("CancelTimer, missing, is an outcome", stories.cancel_of_what_is_missing, OK),
    ),
    group(
        "schedules",
        ("none", timer(schedule=None), INVALID, "timer.schedule"),
        ("an empty one", timer(schedule={}), INVALID, "timer.schedule"),
        ("two: the last one on the wire counts", stories.two_schedules, OK),
        ("at a time of the past", scheduled(at={"seconds": 1}), OK),
        *times("timer.schedule.at", lambda value: scheduled(at=value)),
        ("at year 9999", scheduled(at={"seconds": 253_402_300_799}), BEYOND, "timer.schedule.at"),
        ("after nothing", scheduled(after={}), OK),
        ("after a nanosecond", scheduled(after={"nanos": 1}), OK),
        *lengths("timer.schedule.after", lambda value: scheduled(after=value)),
        ("after eleven years", scheduled(after={"seconds": 11 * YEAR}), BEYOND, "timer.schedule.after"),
        ("after a thousand years", scheduled(after={"seconds": 1000 * YEAR}), BEYOND, "timer.schedule.after"),
        ("every nothing said", scheduled(every={}), INVALID, "timer.schedule.every.interval"),
        ("every 0", scheduled(every={"interval": {}}), INVALID, "timer.schedule.every.interval"),
        ("every 99 ms", scheduled(every={"interval": {"nanos": 99_000_000}}), INVALID, "timer.schedule.every.interval"),
        (
            "every 100.5 ms",
            scheduled(every={"interval": {"nanos": 100_500_000}}),
            INVALID,
            "timer.schedule.every.interval",
        ),
        (
            "every 11 years",
            scheduled(every={"interval": {"seconds": 11 * YEAR}}),
            INVALID,
            "timer.schedule.every.interval",
        ),
        *lengths("timer.schedule.every.interval", lambda value: scheduled(every={"interval": value})),
        *lengths(
            "timer.schedule.every.phase",
            lambda value: scheduled(every={"interval": {"seconds": 3600}, "phase": value}),
        ),
        (
            "a phase of the interval",
            scheduled(every={"interval": {"seconds": 5}, "phase": {"seconds": 5}}),
            INVALID,
            "timer.schedule.every.phase",
        ),
    ),
    group(
        "cron",
        *(
            (label, scheduled(cron={"expression": text}), INVALID, "timer.schedule.cron.expression")
            for label, text in BAD_CRONS.items()
        ),
        *(
            (
                f"zone {label}",
                scheduled(cron={"expression": "0 0 * * *", "zone": text}),
                INVALID,
                "timer.schedule.cron.zone",
            )
            for label, text in BAD_ZONES.items()
        ),
        ("zone empty is UTC", scheduled(cron={"expression": "0 0 * * *", "zone": ""}), OK),
        ("29 February", scheduled(cron={"expression": "0 0 29 2 *"}), OK),
        (
            "preview, 30 February",
            call("PreviewSchedule", pb.PreviewScheduleRequest(schedule={"cron": {"expression": "0 0 30 2 *"}})),
            INVALID,
            "schedule.cron.expression",
        ),
        ("preview of nothing", call("PreviewSchedule", pb.PreviewScheduleRequest()), INVALID, "schedule"),
        (
            "preview of a negative count",
            call("PreviewSchedule", pb.PreviewScheduleRequest(schedule={"after": {}}, count=-1)),
            INVALID,
            "count",
        ),
        (
            "preview of 1,001",
            call("PreviewSchedule", pb.PreviewScheduleRequest(schedule={"after": {}}, count=1001)),
            INVALID,
            "count",
        ),
        *times(
            "after_time",
            lambda value: call("PreviewSchedule", pb.PreviewScheduleRequest(schedule={"after": {}}, after_time=value)),
        ),
        (
            "preview with an unknown gap",
            call("PreviewSchedule", pb.PreviewScheduleRequest(schedule={"after": {}}, dst={"gap": 99})),
            INVALID,
            "dst.gap",
        ),
    ),
    group(
        "policies",
        *(
            (f"{field} {number}", timer(**{field: number}), INVALID, f"timer.{field}")
            for field in ("durability", "isolation", "effort", "misfire", "overlap")
            for number in (99, -1, (1 << 31) - 1)
        ),
        (
            "what may begin once, fired without asking",
            timer(effort=pb.EFFORT_AT_MOST_ONCE, isolation=pb.ISOLATION_FIRE),
            INVALID,
            "timer.isolation",
        ),
        ("gap 99", daily(dst={"gap": 99}), INVALID, "timer.dst.gap"),
        ("overlap of clocks 99", daily(dst={"overlap": 99}), INVALID, "timer.dst.overlap"),
        *times("timer.start_time", lambda value: daily(start_time=value)),
        *times("timer.end_time", lambda value: daily(end_time=value)),
        *times("timer.expire_time", lambda value: daily(expire_time=value)),
        (
            "end before start",
            daily(start_time={"seconds": 1_900_000_000}, end_time={"seconds": 1_800_000_000}),
            INVALID,
            "timer.end_time",
        ),
        (
            "end at start",
            daily(start_time={"seconds": 1_900_000_000}, end_time={"seconds": 1_900_000_000}),
            INVALID,
            "timer.end_time",
        ),
        *lengths("timer.jitter", lambda value: daily(jitter=value)),
        ("jitter of the period", each_second(jitter={"seconds": 1}), INVALID, "timer.jitter"),
        ("jitter above the period", each_second(jitter={"seconds": 2}), INVALID, "timer.jitter"),
        (
            "jitter of the period of a calendar",
            timer(schedule={"cron": {"expression": "* * * * *"}}, jitter={"seconds": 60}),
            INVALID,
            "timer.jitter",
        ),
        ("jitter just below the period", each_second(jitter={"nanos": 999_000_000}), OK),
        ("jitter of eleven years", timer(jitter={"seconds": 11 * YEAR}), INVALID, "timer.jitter"),
        ("misfire grace of 999 ms", daily(misfire_grace={"nanos": 999_000_000}), INVALID, "timer.misfire_grace"),
        ("misfire grace of a second", daily(misfire_grace={"seconds": 1}), OK),
        ("misfire grace of eleven years", daily(misfire_grace={"seconds": 11 * YEAR}), INVALID, "timer.misfire_grace"),
        *lengths("timer.misfire_grace", lambda value: daily(misfire_grace=value)),
        *lengths("timer.catchup_window", lambda value: daily(catchup_window=value)),
        ("catch-up window of a minute", daily(catchup_window={"seconds": 60}), OK),
        (
            "catch-up window of eleven years",
            daily(catchup_window={"seconds": 11 * YEAR}),
            INVALID,
            "timer.catchup_window",
        ),
        ("catch-up window of 59 s", daily(catchup_window={"seconds": 59}), INVALID, "timer.catchup_window"),
        ("misfire cap 1,001", daily(misfire_cap=1001), INVALID, "timer.misfire_cap"),
        ("misfire cap of all bits", daily(misfire_cap=(1 << 32) - 1), INVALID, "timer.misfire_cap"),
        ("attempts 0 are the default", timer(retry={"max_attempts": 0}), OK),
        ("attempts 101", timer(retry={"max_attempts": 101}), INVALID, "timer.retry.max_attempts"),
        ("attempts 10^9", timer(retry={"max_attempts": 10**9}), INVALID, "timer.retry.max_attempts"),
        *(
            (f"factor {factor}", timer(retry={"backoff_factor": float(factor)}), INVALID, "timer.retry.backoff_factor")
            for factor in ("nan", "inf", "-inf", "-1", "0.5", "10.1", "1e308", "-0.1", "5e-324")
        ),
        ("backoff 0", timer(retry={"backoff_min": {}}), INVALID, "timer.retry.backoff_min"),
        *lengths("timer.retry.backoff_min", lambda value: timer(retry={"backoff_min": value})),
        *lengths("timer.retry.backoff_max", lambda value: timer(retry={"backoff_max": value})),
        *lengths("timer.retry.attempt_timeout", lambda value: timer(retry={"attempt_timeout": value})),
        (
            "longest backoff below the first",
            timer(retry={"backoff_min": {"seconds": 2}, "backoff_max": {"seconds": 1}}),
            INVALID,
            "timer.retry.backoff_max",
        ),
        *(
            (f"{field} {label}", timer(retry={field: value}), INVALID, f"timer.retry.{field}")
            for field, label, value in (
                ("backoff_min", "above 7 days", {"seconds": 7 * 86_400, "nanos": 1_000_000}),
                ("backoff_max", "above 7 days", {"seconds": 7 * 86_400, "nanos": 1_000_000}),
                ("attempt_timeout", "of 999 ms", {"nanos": 999_000_000}),
                ("attempt_timeout", "above a day", {"seconds": 86_400, "nanos": 1_000_000}),
            )
        ),
        ("backoff of 7 days", timer(retry={"backoff_max": {"seconds": 7 * 86_400}}), OK),
        ("attempt of a second", timer(retry={"attempt_timeout": {"seconds": 1}}), OK),
        ("attempt of a day", timer(retry={"attempt_timeout": {"seconds": 86_400}}), OK),
        ("no attempt time", timer(retry={"attempt_timeout": {}}), INVALID, "timer.retry.attempt_timeout"),
    ),
    group(
        "contents",
        ("the largest payload", timer(payload=bytes(65_536)), OK),
        ("a payload too large", timer(payload=bytes(65_537)), INVALID, "timer.payload"),
        ("a payload of 1 MiB", timer(payload=bytes(1 << 20)), INVALID, "timer.payload"),
        ("a message too large", timer(payload=bytes(5 << 20)), TOO_MUCH),
        ("a message of 64 MiB", timer(payload=bytes(64 << 20)), TOO_MUCH),
        ("256 characters of media type", timer(content_type="a" * 256), INVALID, "timer.content_type"),
        ("a line end in the media type", timer(content_type="text/plain\r\nX: y"), INVALID, "timer.content_type"),
        ("a media type that is not ASCII", timer(content_type="text/schön"), INVALID, "timer.content_type"),
        ("64 labels", timer(labels={f"k{n}": "v" for n in range(64)}), OK),
        ("65 labels", timer(labels={f"k{n}": "v" for n in range(65)}), INVALID, "timer.labels"),
        ("100,000 labels", timer(labels={f"k{n}": "" for n in range(100_000)}), INVALID, "timer.labels"),
        ("a label without a key", timer(labels={"": "v"}), INVALID, 'timer.labels[""]'),
        ("a long label", timer(labels={"k": "v" * 64}), INVALID, 'timer.labels["k"]'),
        ("a long key", timer(labels={"k" * 64: "v"}), INVALID),
        ("NUL in a label", timer(labels={"k": "\0"}), INVALID, 'timer.labels["k"]'),
        ("an escape in a label", timer(labels={"k": "\x1b[31m"}), INVALID, 'timer.labels["k"]'),
        ("no target", timer(target=None), INVALID, "timer.target"),
        ("an empty target", timer(target={}), INVALID, "timer.target"),
        *(
            (f"handler {label}", timer(target={"handler": {"name": text}}), INVALID, "timer.target.handler.name")
            for label, text in {
                "empty": "",
                "of 256 characters": "h" * 256,
                "with a space": "a b",
                "with NUL": "a\0b",
                "not ASCII": "ä",
                "of Dormouse itself": "dormouse:http",
            }.items()
        ),
    ),
    group(
        "HTTP targets",
        *((f"an address {label}", http(url), INVALID, f"{HTTP}.url") for label, url in BAD_URLS.items()),
        ("an unknown method", http(method="BREW"), INVALID, f"{HTTP}.method"),
        ("a method in lower case", http(method="post"), INVALID, f"{HTTP}.method"),
        ("a method with a line end", http(method="GET\r\nX: y"), INVALID, f"{HTTP}.method"),
        ("33 headers", http(headers={f"x-{n}": "y" for n in range(33)}), INVALID, f"{HTTP}.headers"),
        *(
            (f"header {name!r}", http(headers={name: value}), INVALID, f'{HTTP}.headers["{shown}"]')
            for name, shown, value in (
                ("X-A", "X-A", "a\r\nX-B: c"),
                ("X-A", "X-A", "a\nb"),
                ("X-A", "X-A", "a\0b"),
                ("X-A", "X-A", "a" * 4097),
                ("", "", "a"),
                ("X A", "X A", "a"),
                ("X:A", "X:A", "a"),
                ("X\r\nY", "X\\r\\nY", "a"),
                ("Host", "Host", "example.org"),
                ("content-length", "content-length", "0"),
                ("Transfer-Encoding", "Transfer-Encoding", "chunked"),
                ("Connection", "Connection", "close"),
                ("Dormouse-Signature", "Dormouse-Signature", "forged"),
                ("dormouse-run", "dormouse-run", "forged"),
            )
        ),
        ("a time-out of 99 ms", http(timeout={"nanos": 99_000_000}), INVALID, f"{HTTP}.timeout"),
        ("a time-out above the attempt's", http(timeout={"seconds": 61}), INVALID, f"{HTTP}.timeout"),
        *lengths(f"{HTTP}.timeout", lambda value: http(timeout=value)),
        ("17 ranges", http(success=[{"first": 200}] * 17), INVALID, f"{HTTP}.success"),
        ("status 99", http(success=[{"first": 99}]), INVALID, f"{HTTP}.success[0].first"),
        ("status 600", http(success=[{"first": 200, "last": 600}]), INVALID, f"{HTTP}.success[0].last"),
        ("statuses backwards", http(success=[{"first": 300, "last": 200}]), INVALID, f"{HTTP}.success[0].last"),
        ("a bad key", http(signing_key="../key"), INVALID, f"{HTTP}.signing_key"),
    ),
    group(
        "HTTP to addresses that are refused",
        *((f"local {host}", stories.never_called(host), "DEAD or FAILED") for host in LOCAL_ADDRESSES),
        (
            "local, but not found by every resolver",
            stories.never_called("localhost.", "allow|not found"),
            "DEAD or FAILED",
        ),
        *((f"metadata or private {host}", stories.never_called(host), "DEAD or FAILED") for host in METADATA_ADDRESSES),
        places=AGENT,
    ),
    group(
        "commands",
        *(
            (f"name with {label}", command(text), INVALID, "timer.target.command.name")
            for label, text in {"nothing": "", "a path": "../sh", "a root": "/bin/sh", **BAD_IDS}.items()
        ),
        ("NUL in a value", command("backup", "a", "b\0c"), INVALID, "timer.target.command.args[1]"),
        ("a value too long", command("backup", "a" * 1025), INVALID, "timer.target.command.args[0]"),
        ("33 values", command("backup", *["a"] * 33), INVALID, "timer.target.command.args"),
        ("on no node's allowlist", command("nowhere"), STATE),
    ),
    group(
        "batches",
        ("of 0", call("BatchCreateTimers", pb.BatchCreateTimersRequest()), INVALID, "requests"),
        ("of 1,001", stories.batch_of(1001), INVALID, "requests"),
        ("of 1,000", stories.batch_of(1000), OK),
        ("with a bad item: that one", stories.bad_item, INVALID, "requests[1].timer_id"),
        ("with a bad item: the others", stories.beside_a_bad_item, OK),
        ("with duplicates: one of them", stories.duplicate_items, "ALREADY_EXISTS"),
        ("cancel of 0", call("BatchCancelTimers", pb.BatchCancelTimersRequest()), INVALID, "requests"),
        ("cancel of 1,001", stories.batch_cancel_of(1001), INVALID, "requests"),
        ("cancel with a bad item", stories.bad_cancel_item, INVALID, "requests[1].name"),
        ("pipeline without a request", stories.pipelined(pb.PipelineRequest(id=7)), INVALID, "request"),
        (
            "pipeline with a bad request",
            stories.pipelined(pb.PipelineRequest(id=7, create={"timer_id": "Upper"})),
            INVALID,
            "create.timer_id",
        ),
        (
            "pipeline with a bad name",
            stories.pipelined(pb.PipelineRequest(id=7, cancel={"name": "t"})),
            INVALID,
            "cancel.name",
        ),
    ),
    group(
        "pages",
        ("size -1", call("ListTimers", pb.ListTimersRequest(page_size=-1)), INVALID, "page_size"),
        ("size 1,001", call("ListTimers", pb.ListTimersRequest(page_size=1001)), INVALID, "page_size"),
        ("the smallest size", call("ListTimers", pb.ListTimersRequest(page_size=-(1 << 31))), INVALID, "page_size"),
        ("a forged token", call("ListTimers", pb.ListTimersRequest(page_token="forged")), INVALID, "page_token"),
        ("a token of 10 kB", call("ListTimers", pb.ListTimersRequest(page_token="a" * 10_000)), INVALID, "page_token"),
        (
            "the token of another list",
            call("ListTimers", pb.ListTimersRequest(pool="default", page_token="pools/other/timers/t")),
            INVALID,
            "page_token",
        ),
        ("an unknown state", call("ListTimers", pb.ListTimersRequest(states=[99])), INVALID, "states"),
        *(
            (f"pool with {label}", call("ListTimers", pb.ListTimersRequest(pool=text)), INVALID, "pool")
            for label, text in BAD_IDS.items()
        ),
        *(
            (f"home with {label}", call("ListTimers", pb.ListTimersRequest(home=text)), INVALID, "home")
            for label, text in BAD_IDS.items()
        ),
        ("runs, size -1", call("ListRuns", pb.ListRunsRequest(name=MISSING, page_size=-1)), INVALID, "page_size"),
        (
            "runs, a forged token",
            call("ListRuns", pb.ListRunsRequest(name=MISSING, page_token="x")),
            INVALID,
            "page_token",
        ),
        ("runs, an unknown state", call("ListRuns", pb.ListRunsRequest(name=MISSING, states=[99])), INVALID, "states"),
        ("dead runs, size -1", call("ListDeadRuns", pb.ListDeadRunsRequest(page_size=-1)), INVALID, "page_size"),
        (
            "dead runs, a forged token",
            call("ListDeadRuns", pb.ListDeadRunsRequest(page_token="x")),
            INVALID,
            "page_token",
        ),
        ("dead runs, a bad pool", call("ListDeadRuns", pb.ListDeadRunsRequest(pool="..")), INVALID, "pool"),
        *(
            (f"{method}, run {label}", call(method, request(name=MISSING, run=text)), INVALID, "run")
            for method, request in (
                ("RequeueDeadRun", pb.RequeueDeadRunRequest),
                ("PurgeDeadRun", pb.PurgeDeadRunRequest),
            )
            for label, text in (("empty", ""), ("of 15 digits", "0" * 15), ("no number", "z" * 16))
        ),
        ("watch, a forged token", stories.watched("forged"), INVALID, "resume_token"),
        ("watch, a token of 10 kB", stories.watched("a" * 10_000), INVALID, "resume_token"),
        ("watch, a bad pool", stories.watched("", pool=".."), INVALID, "pool"),
    ),
    group(
        "changes",
        ("update of nothing", raw("UpdateTimer", b""), INVALID, "timer"),
        ("update of a field that is none", updated(mask=["nonsense"]), INVALID, "update_mask"),
        ("update of an output", updated(mask=["uid"]), INVALID, "update_mask"),
        ("update with a path of tricks", updated(mask=["../schedule"]), INVALID, "update_mask"),
        ("update to a bad payload", updated(mask=["payload"], payload=bytes(65_537)), INVALID, "timer.payload"),
        ("update to no schedule", updated(mask=["schedule"], schedule=None), INVALID, "timer.schedule"),
        ("an etag that is none", updated(mask=["payload"], etag="no etag"), INVALID, "timer.etag"),
        ("a stale etag", stories.stale_etag, CONFLICT),
        ("rearm to nothing", call("RearmTimer", pb.RearmTimerRequest(name=MISSING)), INVALID, "time"),
        *times("at", lambda value: call("RearmTimer", pb.RearmTimerRequest(name=MISSING, at=value))),
        *lengths("after", lambda value: call("RearmTimer", pb.RearmTimerRequest(name=MISSING, after=value))),
        (
            "rearm beyond the horizon",
            call("RearmTimer", pb.RearmTimerRequest(name=MISSING, after={"seconds": 11 * YEAR})),
            BEYOND,
            "after",
        ),
        (
            "rearm in mode 99",
            call("RearmTimer", pb.RearmTimerRequest(name=MISSING, after={}, mode=99)),
            INVALID,
            "mode",
        ),
        (
            "rearm with a payload too large",
            call("RearmTimer", pb.RearmTimerRequest(name=MISSING, after={}, payload=bytes(65_537))),
            INVALID,
            "payload",
        ),
        ("a request id that is none", create(request_id="no id"), INVALID, "request_id"),
        ("a request id of version 4", create(request_id="6ba7b810-9dad-41d1-80b4-00c04fd430c8"), INVALID, "request_id"),
        ("a request id of 10 kB", create(request_id="0" * 10_000), INVALID, "request_id"),
        ("a request id of the year before", create(request_id=stories.old_request_id()), STATE),
        ("a request id again with the same body", stories.request_again, OK),
        ("a request id again with another body", stories.request_with_another_body, INVALID, "request_id"),
        ("cancel with a request id that is none", stories.cancel_with_id("x"), INVALID, "request_id"),
    ),
    group(
        "pools of others",
        ("GetTimer", stories.foreign("GetTimer"), NOT_FOUND),
        ("RearmTimer", stories.foreign("RearmTimer"), NOT_FOUND),
        ("PauseTimer", stories.foreign("PauseTimer"), NOT_FOUND),
        ("RunTimer", stories.foreign("RunTimer"), NOT_FOUND),
        ("CancelTimer must not say that there is none", stories.foreign("CancelTimer"), NOT_FOUND),
        ("CreateTimer", create(pool="other"), NOT_FOUND),
        ("ListTimers", call("ListTimers", pb.ListTimersRequest(pool="other")), NOT_FOUND),
        ("it is still there", stories.foreign_is_there, OK),
        places=AGENT,
    ),
    group(
        "workers",
        ("an empty message", stories.says({}), INVALID, "message"),
        ("Ack before Attach", stories.says({"ack": {"run": "0" * 16, "token": 1}}), INVALID, "message"),
        ("no handlers", stories.says({"attach": {"credits": 1}}), INVALID, "attach.handlers"),
        ("1,001 handlers", stories.says({"attach": {"handlers": ["h"] * 1001}}), INVALID, "attach.handlers"),
        ("a bad handler", stories.says({"attach": {"handlers": ["a b"]}}), INVALID, "attach.handlers[0]"),
        ("10,001 credits", stories.says({"attach": {"handlers": ["h"], "credits": 10_001}}), INVALID, "attach.credits"),
        ("Ack of a run that is none", stories.attached_says({"ack": {"run": "zz", "token": 1}}), INVALID, "run"),
        (
            "Nack with a negative wait",
            stories.attached_says({"nack": {"run": "0" * 16, "token": 1, "retry_after": {"seconds": -1}}}),
            INVALID,
            "nack.retry_after",
        ),
        ("Ack of what was never claimed is dropped", stories.settles_what_it_never_had, "DONE"),
        ("settling twice counts once", stories.settles_twice, "DONE"),
        ("a stale token is dropped", stories.settles_with_a_stale_token, "DONE"),
        places=AGENT,
    ),
    group(
        "workers at a coordinator",
        ("Work", stories.says({"attach": {"handlers": ["h"], "credits": 1}}), NOT_THERE),
        places=COORDINATOR,
    ),
    group(
        "encodings",
        ("a truncated message", raw("CreateTimer", b"\x1a\xff"), BROKEN),
        ("a field longer than the message", raw("CreateTimer", b"\x1a\x7f\x00"), BROKEN),
        ("a length of 2^32-1 within", raw("CreateTimer", b"\x1a\xff\xff\xff\xff\x0f"), BROKEN),
        ("a length of 2^64-1 within", raw("CreateTimer", b"\x1a" + b"\xff" * 9 + b"\x01"), BROKEN),
        ("a varint without an end", raw("CreateTimer", b"\x1a" + b"\xff" * 20), BROKEN),
        ("a wire type that is none", raw("CreateTimer", b"\x0f"), BROKEN),
        ("field number 0", raw("CreateTimer", b"\x02\x00"), BROKEN),
        ("100,000 groups in each other", raw("CreateTimer", b"\x7b" * 100_000), BROKEN),
        ("an end of a group that was not begun", raw("CreateTimer", b"\x7c"), BROKEN),
        ("invalid UTF-8 in a name", raw("GetTimer", b"\x0a\x02\xff\xfe"), BROKEN),
        ("a surrogate in a name", raw("GetTimer", b"\x0a\x03\xed\xa0\x80"), BROKEN),
        ("invalid UTF-8 in a label", raw("CreateTimer", b"\x1a\x08\xaa\x01\x05\x0a\x01\xff\x12\x00"), BROKEN),
        ("random bytes", stories.random_messages, BROKEN + " or " + INVALID),
        (
            "unknown fields are passed over",
            raw("GetTimer", b"\x0a\x1c" + MISSING.encode() + b"\xfa\x3f\x01x"),
            NOT_FOUND,
        ),
        ("an unknown method", raw("Nonsense", b""), NOT_THERE),
        ("an unknown service", raw("Nonsense", b"", service="nonsense.v1.Nonsense"), NOT_THERE),
        ("a bomb of gzip", transport.compressed_bomb("gzip"), NOT_THERE),
        ("an unknown compression", transport.compressed_bomb("nonsense"), NOT_THERE),
        ("compressed without saying how", transport.compressed_bomb(""), BROKEN),
        ("a claimed length of 2^32-1", transport.claimed_length((1 << 32) - 1), TOO_MUCH),
        ("a claimed length just above the limit", transport.claimed_length((4 << 20) + 1), TOO_MUCH),
    ),
    group(
        "deadlines",
        # The library of the server ends such a call outside of our own layers, and says CANCELLED; or the call is
        # quicker. A client of gRPC looks at its own clock and says DEADLINE_EXCEEDED by itself.
        ("over already", transport.with_timeout("0n", "CreateTimer"), f"CANCELLED or {LATE} or {OK}"),
        ("a nanosecond", transport.with_timeout("1n", "CreateTimer"), f"CANCELLED or {LATE} or {OK}"),
        ("negative: as if there were none", transport.with_timeout("-1S"), NOT_FOUND),
        ("absurd: 99,999,999 hours", transport.with_timeout("99999999H"), NOT_FOUND),
        ("too many digits: as if there were none", transport.with_timeout("999999999S"), NOT_FOUND),
        ("no number: as if there were none", transport.with_timeout("abc"), NOT_FOUND),
        ("no unit: as if there were none", transport.with_timeout("5"), NOT_FOUND),
        ("an unknown unit: as if there were none", transport.with_timeout("5X"), NOT_FOUND),
        ("empty: as if there were none", transport.with_timeout(""), NOT_FOUND),
    ),
    group(
        "other protocols",
        ("HTTP/1.1", transport.speaks(b"GET / HTTP/1.1\r\nHost: dormouse\r\n\r\n"), ENDED),
        ("HTTP/1.1 with an upgrade", transport.speaks(transport.UPGRADE), ENDED),
        ("TLS", transport.speaks_tls, ENDED),
        ("random bytes", transport.speaks_at_random, ENDED),
        ("half a preface, and silence for others to bear", transport.says_half, LIVES),
        ("a preface and random frames", transport.speaks_at_random_after_the_preface, ENDED),
        ("a frame of 2^24-1 bytes", transport.frame_of_the_largest_length, ENDED),
        ("settings of an odd length", transport.frame(4, 0, 0, b"\0\0\0"), ENDED),
        ("data on a stream that was never opened", transport.frame(0, 0, 1, b"x"), ENDED),
        ("a window that overflows", transport.window_overflow, ENDED),
        ("headers that do not decode", transport.frame(1, 5, 1, b"\xff\xff\xff\xff\xff"), ENDED),
        ("200 connections that say nothing", transport.silent_connections(200), LIVES),
    ),
    group(
        "floods",
        ("10,001 calls at once", stories.calls_at_once(10_001), OK),
        ("10,001 streams at once", transport.streams(10_001), f"{REFUSED} or {ENDED}"),
        ("rapid reset", transport.rapid_reset(20_000), ENDED),
        ("pings without reading the answers", transport.flood(transport.PING, 200_000), f"{LIVES} or {ENDED}"),
        ("settings without reading the answers", transport.flood(transport.SETTINGS, 200_000), f"{LIVES} or {ENDED}"),
        ("continuations without an end", transport.continuations, ENDED),
        ("headers of 1 MiB", transport.large_headers(1 << 20), f"{REFUSED} or {ENDED}"),
        ("empty data frames", transport.empty_data, f"{LIVES} or {ENDED} or {REFUSED}"),
    ),
]
