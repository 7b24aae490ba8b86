"""The calls against an agent that the test plays: what is sent, what is read, what is tried again."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, Awaitable, Callable

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

import dormouse
from dormouse import (
    After,
    Cancelled,
    CancelOutcome,
    Changes,
    Client,
    Cron,
    Dst,
    DstOverlap,
    Handler,
    RearmMode,
    RunState,
    Timer,
    TimerState,
)
from dormouse.v1 import timer_pb2 as pb
from fake import LIMIT_S, Agent, Refusal, bad_request, later

NAME = "pools/p/timers/t"
RUN = "00000000000000aa"
TIMER = Timer(After(timedelta(seconds=1)), Handler("h"), name="t")


def answer(name: str = NAME, **fields: Any) -> pb.Timer:
    return pb.Timer(name=name, state=pb.TIMER_STATE_SCHEDULED, durability=pb.DURABILITY_REPLICATED, **fields)


async def test_a_created_timer_comes_back_as_the_owner_has_it(agent: Agent) -> None:
    agent.answers = [pb.CreateTimerResponse(timer=answer(etag="1-0", next_times=[Timestamp(seconds=5)]))]
    async with agent.client() as client:
        created = await client.create(TIMER)
    assert (created.name, created.state, created.etag) == (NAME, TimerState.SCHEDULED, "1-0")
    assert created.next_times[0].timestamp() == 5
    sent = agent.requests[0]
    assert (sent.timer_id, sent.pool, sent.timer.target.handler.name) == ("t", "", "h")
    assert sent.request_id


async def test_a_retry_is_the_same_request_and_only_where_the_answer_says_that_it_helps(agent: Agent) -> None:
    agent.answers = [later(1), later(1), pb.CreateTimerResponse(timer=answer())]
    async with agent.client() as client:
        await client.create(TIMER)
        assert len(agent.requests) == 3 and agent.requests[0] == agent.requests[1] == agent.requests[2]
        agent.answers = [Refusal(grpc.StatusCode.UNAVAILABLE, "down")]
        with pytest.raises(dormouse.Unavailable) as refused:
            await client.create(TIMER)
    assert refused.value.retry_after is None and refused.value.may_have_changed
    assert len(agent.requests) == 4
    assert agent.requests[3].request_id != agent.requests[0].request_id


async def test_attempts_are_bounded(agent: Agent) -> None:
    agent.answers = [later(1)] * 3
    async with agent.client(attempts=2) as client:
        with pytest.raises(dormouse.Unavailable) as refused:
            await client.cancel(NAME)
    assert refused.value.retry_after == timedelta(milliseconds=1)
    assert len(agent.requests) == 2


async def test_every_field_that_is_wrong_is_told(agent: Agent) -> None:
    agent.answers = [bad_request("timer.schedule.cron.expression", "timer.jitter")]
    async with agent.client() as client:
        with pytest.raises(dormouse.InvalidArgument) as refused:
            await client.create(TIMER)
    assert [it.field for it in refused.value.violations] == ["timer.schedule.cron.expression", "timer.jitter"]
    assert str(refused.value) == "timer.schedule.cron.expression: is wrong; timer.jitter: is wrong"
    assert not refused.value.may_have_changed


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("OUT_OF_RANGE", dormouse.OutOfRange),
        ("NOT_FOUND", dormouse.NotFound),
        ("ALREADY_EXISTS", dormouse.AlreadyExists),
        ("ABORTED", dormouse.Stale),
        ("FAILED_PRECONDITION", dormouse.Refused),
        ("RESOURCE_EXHAUSTED", dormouse.Exhausted),
        ("DEADLINE_EXCEEDED", dormouse.TimedOut),
        ("PERMISSION_DENIED", dormouse.Denied),
        ("UNAUTHENTICATED", dormouse.Denied),
        ("UNIMPLEMENTED", dormouse.Unimplemented),
        ("DATA_LOSS", dormouse.Broken),
        ("INTERNAL", dormouse.Broken),
    ],
)
async def test_each_code_has_a_class_and_says_what_to_do(agent: Agent, code: str, kind: type[dormouse.Error]) -> None:
    agent.answers = [Refusal(grpc.StatusCode[code], "in their words")]
    async with agent.client() as client:
        with pytest.raises(kind) as refused:
            await client.get(NAME)
    assert type(refused.value) is kind
    assert "in their words" in str(refused.value) and refused.value.hint
    if code != "UNAUTHENTICATED":
        assert refused.value.code == grpc.StatusCode[code]


async def test_nobody_there_is_unavailable_and_names_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with Client(address) as client:
            with pytest.raises(dormouse.Unavailable, match=f"cannot reach {address}") as refused:
                await client.get(NAME)
    assert refused.value.retry_after is None


async def test_an_agent_that_never_answers_is_given_up(agent: Agent) -> None:
    async def never(self: Agent, request: Any, context: Any) -> None:
        await asyncio.sleep(60)

    agent._answer = never.__get__(agent)  # type: ignore[method-assign]
    async with agent.client(timeout=timedelta(milliseconds=100)) as client:
        with pytest.raises(dormouse.TimedOut):
            await client.get(NAME)


async def test_a_unix_socket_is_reached(tmp_path: Path) -> None:
    played = Agent()
    await played.start(f"unix:{tmp_path}/a.sock")
    played.answers = [pb.GetTimerResponse(timer=answer())]
    async with Client(f"unix:{tmp_path}/a.sock") as client:
        assert (await client.get(NAME)).name == NAME
    await played.stop()


async def test_a_list_goes_through_its_pages_as_they_are_asked_for(agent: Agent) -> None:
    names = [f"pools/p/timers/t{n}" for n in range(3)]
    agent.answers = [
        pb.ListTimersResponse(timers=[answer(names[0]), answer(names[1])], next_page_token="more"),
        pb.ListTimersResponse(next_page_token="more still"),
        pb.ListTimersResponse(timers=[answer(names[2])]),
    ]
    async with agent.client() as client:
        listing = client.list(pool="p", states=[TimerState.PAUSED], labels={"a": "b"}, home="n1", page_size=2)
        assert agent.requests == []
        assert [timer.name async for timer in listing] == names
    first = agent.requests[0]
    assert (first.pool, list(first.states), dict(first.labels), first.home, first.page_size) == (
        ("p", [9], {"a": "b"}, "n1", 2)
    )
    assert [it.page_token for it in agent.requests] == ["", "more", "more still"]


async def test_an_update_sends_only_what_it_names(agent: Agent) -> None:
    agent.answers = [pb.UpdateTimerResponse(timer=answer())] * 2
    async with agent.client() as client:
        await client.update(NAME, Changes(payload=b"new", end_time=None), etag="3-1")
        await client.put(NAME, Timer(After(timedelta(seconds=1)), Handler("h")))
        with pytest.raises(dormouse.InvalidArgument):
            await client.update(NAME, Changes())
        with pytest.raises(dormouse.InvalidArgument):
            await client.put(NAME, TIMER)
    update, put = agent.requests
    assert list(update.update_mask.paths) == ["payload", "end_time"] and not update.allow_missing
    assert update.timer == pb.Timer(name=NAME, etag="3-1", payload=b"new")
    assert put.allow_missing and "schedule" in put.update_mask.paths and put.timer.etag == ""


async def test_a_rearm_says_mode_time_and_payload(agent: Agent) -> None:
    agent.answers = [pb.RearmTimerResponse(timer=answer())] * 2
    async with agent.client() as client:
        await client.rearm(NAME, After(timedelta(seconds=3)), mode=RearmMode.KEEP_TIME, payload=b"")
        await client.rearm(NAME, dormouse.At(created_at()))
    first, second = agent.requests
    assert (first.after.seconds, first.mode, first.HasField("payload")) == (3, 2, True)
    assert (second.at.seconds, second.mode, second.HasField("payload")) == (1_800_000_000, 0, False)


def created_at() -> Any:
    return Timestamp(seconds=1_800_000_000).ToDatetime().replace(tzinfo=timezone.utc)


async def test_a_cancel_tells_what_it_found(agent: Agent) -> None:
    agent.answers = [
        pb.CancelTimerResponse(outcome=pb.CANCEL_OUTCOME_RUNNING, token=7),
        pb.CancelTimerResponse(outcome=99),  # type: ignore[arg-type]
    ]
    async with agent.client() as client:
        assert await client.cancel(NAME) == Cancelled(CancelOutcome.RUNNING, 7)
        with pytest.raises(dormouse.BadAnswer):
            await client.cancel(NAME)


async def test_a_batch_answers_item_by_item_in_order(agent: Agent) -> None:
    error = status_pb2.Status(code=6, message="there is one")
    agent.answers = [
        pb.BatchCreateTimersResponse(results=[pb.CreateTimerResult(timer=answer()), pb.CreateTimerResult(error=error)]),
        pb.BatchCancelTimersResponse(
            results=[pb.CancelTimerResult(cancelled=pb.CancelTimerResponse(outcome=pb.CANCEL_OUTCOME_CANCELLED))]
        ),
        pb.BatchCancelTimersResponse(),
    ]
    async with agent.client() as client:
        created, refused = await client.create_many([TIMER, TIMER])
        assert isinstance(created, dormouse.TimerInfo) and created.name == NAME
        assert isinstance(refused, dormouse.AlreadyExists) and str(refused) == "there is one"
        assert await client.cancel_many([NAME]) == [Cancelled(CancelOutcome.CANCELLED)]
        with pytest.raises(dormouse.BadAnswer):
            await client.cancel_many([NAME])
        for many in ([], [TIMER] * 1001):
            with pytest.raises(dormouse.InvalidArgument):
                await client.create_many(many)
    ids = [it.request_id for it in agent.requests[0].requests]
    assert len(set(ids)) == 2 and all(ids)


async def test_pause_resume_and_run_name_their_timer_and_have_ids(agent: Agent) -> None:
    agent.answers = [
        pb.PauseTimerResponse(timer=answer(paused=True)),
        pb.ResumeTimerResponse(timer=answer()),
        pb.RunTimerResponse(run=pb.RunRecord(run=RUN, state=pb.RUN_STATE_WAITING)),
    ]
    async with agent.client() as client:
        assert (await client.pause(NAME)).paused
        assert not (await client.resume(NAME)).paused
        assert (await client.run(NAME)).state is RunState.WAITING
    assert [it.name for it in agent.requests] == [NAME] * 3
    assert len({it.request_id for it in agent.requests}) == 3


async def test_runs_are_read_in_pages_newest_first(agent: Agent) -> None:
    agent.answers = [
        pb.ListRunsResponse(runs=[pb.RunRecord(run=RUN, attempt=2, state=pb.RUN_STATE_DONE)], next_page_token="x"),
        pb.ListRunsResponse(runs=[pb.RunRecord(run=RUN, attempt=1, state=pb.RUN_STATE_FAILED, reason="no")]),
    ]
    async with agent.client() as client:
        runs = [run async for run in client.list_runs(NAME, states=[RunState.DONE, RunState.FAILED])]
    assert [(it.attempt, it.state, it.reason) for it in runs] == [(2, RunState.DONE, ""), (1, RunState.FAILED, "no")]
    assert list(agent.requests[0].states) == [2, 3]


async def test_dead_runs_are_listed_requeued_and_purged(agent: Agent) -> None:
    agent.answers = [
        pb.ListDeadRunsResponse(runs=[pb.RunRecord(run=RUN, timer=NAME, state=pb.RUN_STATE_DEAD)]),
        pb.RequeueDeadRunResponse(run=pb.RunRecord(run=RUN, state=pb.RUN_STATE_WAITING)),
        pb.PurgeDeadRunResponse(),
    ]
    async with agent.client() as client:
        dead = [run async for run in client.list_dead_runs(pool="p")]
        assert (dead[0].timer, dead[0].state) == (NAME, RunState.DEAD)
        assert (await client.requeue_dead_run(dead[0].timer, dead[0].run)).state is RunState.WAITING
        await client.purge_dead_run(dead[0].timer, dead[0].run)
        with pytest.raises(dormouse.InvalidArgument):
            await client.purge_dead_run(NAME, "zz")
    assert [(it.name, it.run) for it in agent.requests[1:]] == [(NAME, RUN)] * 2


async def test_a_preview_tells_local_times_and_notes(agent: Agent) -> None:
    time = pb.PreviewedTime(time=Timestamp(seconds=9), local_time="1970-01-01T01:00:09+01:00", note="moved")
    agent.answers = [pb.PreviewScheduleResponse(times=[time])]
    async with agent.client() as client:
        (shown,) = await client.preview(
            Cron("30 2 * * *", "Europe/Berlin"), dst=Dst(overlap=DstOverlap.BOTH), after=created_at(), count=3
        )
    assert (shown.time.timestamp(), shown.note) == (9, "moved")
    sent = agent.requests[0]
    assert (sent.count, sent.dst.overlap, sent.after_time.seconds) == (3, 3, 1_800_000_000)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get("t"),
        lambda client: client.cancel(""),
        lambda client: client.rearm("pools/p/timers/T", After(timedelta(0))),
        lambda client: client.rearm(NAME, timedelta(0)),
        lambda client: client.preview(Cron("* * * * *"), count=0),
    ],
)
async def test_a_bad_request_is_not_sent(agent: Agent, call: Callable[[Client], Awaitable[object]]) -> None:
    async with agent.client() as client:
        with pytest.raises(dormouse.InvalidArgument):
            await call(client)
    assert agent.requests == []


async def test_a_closed_client_says_so(agent: Agent) -> None:
    client = agent.client()
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await asyncio.wait_for(client.get(NAME), LIMIT_S)
