"""A watch: resets are told, and after a break it goes on where it was."""

from __future__ import annotations

import grpc
import pytest

import dormouse
from dormouse import Reset, RunChanged, TimerChanged, TimerRemoved
from dormouse.v1 import timer_pb2 as pb
from fake import Agent, Refusal, bad_request

NAME = "pools/p/timers/t"


def changed(token: str, reset: bool = False) -> pb.WatchTimersResponse:
    return pb.WatchTimersResponse(timer=pb.Timer(name=NAME), resume_token=token, reset=reset)


async def test_it_goes_on_after_breaks_and_tells_resets(agent: Agent) -> None:
    agent.answers = [
        [changed("1", reset=True), pb.WatchTimersResponse(removed=NAME, resume_token="2")],
        [Refusal(grpc.StatusCode.UNAVAILABLE, "restarting")],
        [pb.WatchTimersResponse(run=pb.RunRecord(run="r", state=pb.RUN_STATE_DONE), resume_token="3")],
        [pb.WatchTimersResponse(reset=True, resume_token="9")],
    ]
    told: list[dormouse.Change] = []
    async with agent.client() as client:
        async for change in client.watch(pool="p"):
            told.append(change)
            if len(told) == 5:
                break
    assert told[0] == Reset("1") and isinstance(told[1], TimerChanged) and told[1].timer.name == NAME
    assert told[2] == TimerRemoved(NAME, "2")
    assert isinstance(told[3], RunChanged) and told[3].run.state is dormouse.RunState.DONE
    assert told[4] == Reset("9")
    assert [it.resume_token for it in agent.requests] == ["", "2", "2", "3"]
    assert {it.pool for it in agent.requests} == {"p"}


async def test_it_begins_after_the_token_of_an_earlier_watch(agent: Agent) -> None:
    agent.answers = [[changed("8")]]
    async with agent.client() as client:
        async for change in client.watch(resume_token="7"):
            assert change.resume_token == "8"
            break
    assert agent.requests[0].resume_token == "7"


async def test_a_change_that_a_newer_server_tells_is_passed_over(agent: Agent) -> None:
    agent.answers = [[pb.WatchTimersResponse(resume_token="1"), changed("2")]]
    async with agent.client() as client:
        async for change in client.watch():
            assert change.resume_token == "2"
            break


async def test_what_does_not_pass_by_itself_is_raised(agent: Agent) -> None:
    agent.answers = [[bad_request("resume_token")]]
    async with agent.client() as client:
        with pytest.raises(dormouse.InvalidArgument):
            async for _ in client.watch(resume_token="forged"):
                raise AssertionError("there is nothing to tell")
