"""Against real processes: a coordinator and two agents of the binary that DORMOUSE_BIN names."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import AsyncIterator, Callable
from uuid import uuid4

import pytest

import dormouse
from dormouse import (
    After,
    At,
    CancelOutcome,
    Changes,
    Client,
    Cron,
    Durability,
    Every,
    Failure,
    Handler,
    Misfire,
    Overlap,
    Pinned,
    RearmMode,
    Reset,
    Retry,
    Run,
    RunChanged,
    RunState,
    Timer,
    TimerChanged,
    TimerInfo,
    TimerState,
)
from processes import Cluster, Pair

EXAMPLES = Path(__file__).parent.parent / "examples"
EXAMPLE_LIMIT_S = 30.0
LIMIT_S = 15.0
HOUR = timedelta(hours=1)


def fresh(word: str) -> str:
    return f"{word}-{uuid4().hex[:12]}"


def later(handler: str = "nobody", **fields: object) -> Timer:
    return Timer(After(HOUR), Handler(handler), **fields)  # type: ignore[arg-type]


@pytest.fixture
def client(cluster: Cluster) -> Client:
    return Client(cluster.agents[0])


async def eventually(client: Client, name: str, state: TimerState) -> TimerInfo:
    async def poll() -> TimerInfo:
        while True:
            found = await client.get(name)
            if found.state is state:
                return found
            await asyncio.sleep(0.05)

    return await asyncio.wait_for(poll(), LIMIT_S)


class Working:
    """A worker of one handler within ``with``; what comes is kept."""

    def __init__(self, client: Client, act: Callable[[Run], object] = lambda run: None) -> None:
        self.name = fresh("handler")
        self.runs: asyncio.Queue[Run] = asyncio.Queue()
        self._act = act
        self._worker = client.worker().handle(self.name, self._handle)

    async def _handle(self, run: Run) -> None:
        self.runs.put_nowait(run)
        self._act(run)

    async def next(self) -> Run:
        return await asyncio.wait_for(self.runs.get(), LIMIT_S)

    async def __aenter__(self) -> Working:
        self._running = asyncio.ensure_future(self._worker.run())
        await asyncio.wait_for(self._worker.attached(), LIMIT_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._worker.stop()
        await asyncio.wait_for(self._running, LIMIT_S)


@pytest.mark.parametrize("example", sorted(it.stem for it in EXAMPLES.glob("*.py")))
def test_each_example_runs_to_its_end(cluster: Cluster, example: str) -> None:
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{example}.py")],
        env={**os.environ, "DORMOUSE_ADDR": cluster.agents[0]},
        capture_output=True,
        text=True,
        timeout=EXAMPLE_LIMIT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout


async def test_a_timer_runs_once_and_never_early(client: Client) -> None:
    async with Working(client) as working:
        due = datetime.now(timezone.utc) + timedelta(milliseconds=500)
        created = await client.create(Timer(At(due), Handler(working.name), payload=b"\x00\xff", content_type="a/b"))
        run = await working.next()
        assert datetime.now(timezone.utc) >= due
        assert (run.timer, run.uid, run.attempt, run.payload) == (created.name, created.uid, 1, b"\x00\xff")
        done = await eventually(client, created.name, TimerState.DONE)
        assert done.last_run is not None and done.last_run.run == run.run
        assert (await client.cancel(created.name)).outcome is CancelOutcome.ALREADY_FIRED
        assert working.runs.empty()


async def test_what_fails_is_tried_again_and_then_dead_and_can_be_requeued_or_purged(client: Client) -> None:
    def refuse(run: Run) -> None:
        raise Failure("no")

    retry = Retry(max_attempts=2, backoff_min=timedelta(milliseconds=10), backoff_max=timedelta(milliseconds=20))
    async with Working(client, refuse) as working:
        created = await client.create(Timer(After(timedelta(0)), Handler(working.name), retry=retry))
        first, second = await working.next(), await working.next()
        assert (first.attempt, second.attempt, first.run) == (1, 2, second.run)
        assert first.token < second.token
        ended = await eventually(client, created.name, TimerState.DEAD)
        dead = [it async for it in client.list_dead_runs() if it.timer == created.name]
        assert [(it.state, it.run) for it in dead] == [(RunState.DEAD, first.run)]
        history = [it async for it in client.list_runs(created.name)]
        assert [it.attempt for it in history] == [2, 1] and history[0].reason == "no"
        assert ended.last_run is not None and ended.last_run.reason == "no"
        await client.requeue_dead_run(created.name, first.run)
        again = await working.next()
        assert again.run == first.run and again.token > second.token
        await eventually(client, created.name, TimerState.DEAD)
        await client.purge_dead_run(created.name, first.run)
        assert not [it async for it in client.list_dead_runs() if it.timer == created.name]


async def test_a_long_run_is_kept_alive_by_the_worker(client: Client) -> None:
    attempts: list[int] = []
    worker = client.worker()
    name = fresh("long")

    @worker.handler(name)
    async def slow(run: Run) -> None:
        attempts.append(run.attempt)
        await asyncio.sleep(2.5)
        worker.stop()

    retry = Retry(attempt_timeout=timedelta(seconds=1))
    created = await client.create(Timer(After(timedelta(0)), Handler(name), retry=retry))
    await asyncio.wait_for(worker.run(), LIMIT_S)
    await eventually(client, created.name, TimerState.DONE)
    assert attempts == [1]


async def test_replace_withdraws_the_old_run_and_cancels_its_handler(client: Client) -> None:
    tokens: list[int] = []
    cancelled: list[int] = []
    worker = client.worker()
    name = fresh("replaced")

    @worker.handler(name)
    async def slow(run: Run) -> None:
        tokens.append(run.token)
        if len(tokens) > 1:
            worker.stop()
            return
        try:
            await asyncio.sleep(LIMIT_S)
        except asyncio.CancelledError:
            cancelled.append(run.token)
            raise

    every = Every(timedelta(milliseconds=500))
    created = await client.create(Timer(every, Handler(name), overlap=Overlap.REPLACE))
    await asyncio.wait_for(worker.run(), LIMIT_S)
    await client.cancel(created.name)
    assert cancelled == tokens[:1]


async def test_every_policy_comes_back_as_it_was_set(client: Client) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    timer = Timer(
        Cron("0 3 * * *", "Europe/Berlin"),
        Handler("nobody"),
        name=fresh("full"),
        start_time=now + HOUR,
        end_time=now + 1000 * HOUR,
        max_occurrences=9,
        jitter=timedelta(minutes=1),
        misfire=Misfire.ALL,
        misfire_cap=5,
        misfire_grace=timedelta(seconds=5),
        catchup_window=timedelta(minutes=2),
        overlap=Overlap.BUFFER_ONE,
        retry=Retry(max_attempts=7),
        labels={"team": "sales"},
    )
    created = await client.create(timer)
    found = await client.get(created.name)
    for field in (
        "schedule",
        "target",
        "start_time",
        "end_time",
        "max_occurrences",
        "jitter",
        "misfire",
        "misfire_cap",
    ):
        assert getattr(found, field) == getattr(timer, field), field
    for field in ("misfire_grace", "catchup_window", "overlap", "retry", "labels"):
        assert getattr(found, field) == getattr(timer, field), field
    assert found.durability is Durability.REPLICATED
    assert found.next_times[0] >= now + HOUR


async def test_a_list_is_filtered_and_paged(client: Client) -> None:
    label = {"test": fresh("list")}
    names = sorted([(await client.create(later(labels=label))).name for _ in range(5)])
    assert [it.name async for it in client.list(labels=label, page_size=2)] == names
    await client.cancel(names[0])
    listed = [it.name async for it in client.list(labels=label, states=[TimerState.SCHEDULED])]
    assert listed == names[1:]


async def test_an_update_needs_the_newest_etag_and_changes_only_what_it_names(client: Client) -> None:
    created = await client.create(later(payload=b"old", labels={"a": "b"}))
    updated = await client.update(created.name, Changes(payload=b"new"), etag=created.etag)
    assert (updated.payload, updated.labels, updated.uid) == (b"new", {"a": "b"}, created.uid)
    assert updated.generation > created.generation and updated.etag != created.etag
    with pytest.raises(dormouse.Stale):
        await client.update(created.name, Changes(payload=b"x"), etag=created.etag)
    assert (await client.get(created.name)).payload == b"new"


async def test_put_creates_and_then_replaces(client: Client) -> None:
    name = (await client.create(later())).name.rsplit("/", 1)[0] + "/" + fresh("put")
    with pytest.raises(dormouse.NotFound):
        await client.update(name, Changes(payload=b"x"))
    first = await client.put(name, later(payload=b"1", labels={"a": "b"}))
    second = await client.put(name, later(payload=b"2"))
    assert (first.name, first.payload) == (name, b"1")
    assert (second.uid, second.payload, second.labels) == (first.uid, b"2", {})


async def test_the_modes_of_a_rearm(client: Client) -> None:
    created = await client.create(later(payload=b"1"))
    dropped = await client.rearm(created.name, After(2 * HOUR), mode=RearmMode.DROP, payload=b"2")
    assert (dropped.next_times, dropped.payload) == (created.next_times, b"1")
    kept = await client.rearm(created.name, After(2 * HOUR), mode=RearmMode.KEEP_TIME, payload=b"3")
    assert (kept.next_times, kept.payload) == (created.next_times, b"3")
    moved = await client.rearm(created.name, After(2 * HOUR))
    assert moved.next_times[0] > created.next_times[0] and moved.payload == b"3"


async def test_a_paused_timer_waits_until_it_is_resumed_and_can_be_run_meanwhile(client: Client) -> None:
    async with Working(client) as working:
        created = await client.create(Timer(Every(timedelta(seconds=1)), Handler(working.name), paused=True))
        assert created.state is TimerState.PAUSED and created.paused
        await asyncio.sleep(1.2)
        assert working.runs.empty()
        asked = await client.run(created.name)
        assert (await working.next()).run == asked.run
        resumed = await client.resume(created.name)
        assert resumed.state is TimerState.SCHEDULED
        assert (await working.next()).missed_count == 0
        assert (await client.pause(created.name)).state is TimerState.PAUSED
        await client.cancel(created.name)


async def test_a_batch_answers_item_by_item(client: Client) -> None:
    name = fresh("batch")
    good, taken = await client.create_many([later(name=name), later(name=name)])
    assert {type(good), type(taken)} == {TimerInfo, dormouse.AlreadyExists}
    full = next(it.name for it in (good, taken) if isinstance(it, TimerInfo))
    outcomes = await client.cancel_many([full, full[:-1] + "zz"])
    assert [it.outcome for it in outcomes if isinstance(it, dormouse.Cancelled)] == [
        CancelOutcome.CANCELLED,
        CancelOutcome.NOT_FOUND,
    ]


async def test_a_preview_tells_the_change_of_the_clocks(client: Client) -> None:
    before = datetime(2027, 3, 27, 12, tzinfo=timezone.utc)
    times = await client.preview(Cron("30 2 * * *", "Europe/Berlin"), after=before, count=2)
    assert times[0].time == datetime(2027, 3, 28, 1, 0, tzinfo=timezone.utc) and times[0].note
    assert times[1].local_time == "2027-03-29T02:30:00+02:00[Europe/Berlin]" and not times[1].note


async def test_a_pinned_timer_runs_on_its_node(cluster: Cluster, client: Client) -> None:
    other = Client(cluster.agents[1])
    async with Working(client) as working:
        created = await client.create(Timer(After(timedelta(0)), Handler(working.name), placement=Pinned()))
        assert "/nodes/" in created.name and created.durability is Durability.LOCAL
        assert (await working.next()).node == created.home
        assert (await other.get(created.name)).uid == created.uid
    await other.close()


async def test_what_is_wrong_is_told_with_its_field(client: Client) -> None:
    with pytest.raises(dormouse.InvalidArgument) as refused:
        await client.create(Timer(Cron("61 * * * *"), Handler("nobody")))
    assert refused.value.field == "timer.schedule.cron.expression"
    with pytest.raises(dormouse.OutOfRange):
        await client.create(Timer(After(timedelta(days=3660)), Handler("nobody")))
    with pytest.raises(dormouse.NotFound):
        await client.get("pools/default/timers/nobody")


async def test_a_worker_needs_an_agent(cluster: Cluster) -> None:
    async with Client(cluster.coordinator) as coordinator:
        worker = coordinator.worker().handle("h", lambda run: asyncio.sleep(0))
        with pytest.raises(dormouse.Unimplemented):
            await asyncio.wait_for(worker.run(), LIMIT_S)


async def watched(
    changes: AsyncIterator[dormouse.Change], wanted: Callable[[dormouse.Change], bool]
) -> dormouse.Change:
    async def find() -> dormouse.Change:
        async for change in changes:
            if wanted(change):
                return change
        raise AssertionError("a watch has no end")

    return await asyncio.wait_for(find(), LIMIT_S)


async def test_a_watch_begins_with_everything_and_tells_what_becomes(cluster: Cluster) -> None:
    async with Client(cluster.coordinator) as client:
        first = await client.create(later())
        changes = client.watch(pool="default")
        assert isinstance(await watched(changes, lambda it: True), Reset)
        seen = await watched(changes, lambda it: isinstance(it, TimerChanged) and it.timer.name == first.name)
        second = await client.create(later())
        told = await watched(changes, lambda it: isinstance(it, TimerChanged) and it.timer.name == second.name)
        await client.cancel(second.name)

        resumed = client.watch(pool="default", resume_token=told.resume_token)
        change = await watched(resumed, lambda it: not isinstance(it, RunChanged))
        assert not isinstance(change, Reset)
        assert seen.resume_token


async def test_a_worker_returns_to_an_agent_that_was_killed(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        async with Client(pair.agent) as client, Working(client) as working:
            await _create_when_up(client)
            created = await client.create(Timer(Every(timedelta(seconds=1)), Handler(working.name)))
            first = await working.next()
            pair.kill("agent")
            await asyncio.sleep(0.5)
            pair.start("agent")
            while (run := await working.next()).run == first.run:
                pass
            assert (run.timer, run.token > first.token) == (created.name, True)


async def test_a_watch_outlives_its_coordinator(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        async with Client(pair.coordinator) as client:
            created = await _create_when_up(client)
            changes = client.watch()
            assert isinstance(await watched(changes, lambda it: True), Reset)
            await watched(changes, lambda it: isinstance(it, TimerChanged) and it.timer.name == created.name)
            pair.kill("coordinator")
            pair.start("coordinator")
            other = await _create_when_up(client)
            told = await watched(changes, lambda it: isinstance(it, TimerChanged) and it.timer.name == other.name)
            assert isinstance(told, TimerChanged) and told.timer.uid == other.uid


async def _create_when_up(client: Client) -> TimerInfo:
    """A timer, as soon as somebody answers."""

    async def create() -> TimerInfo:
        while True:
            try:
                return await client.create(later())
            except dormouse.Unavailable:
                await asyncio.sleep(0.05)

    return await asyncio.wait_for(create(), LIMIT_S)
