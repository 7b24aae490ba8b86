"""The worker against an agent that the test plays: outcomes, credits, signs of life, stopping, returning."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Awaitable, Callable, Optional

import pytest
from google.protobuf.duration_pb2 import Duration

import dormouse
from dormouse import Failure, Run
from dormouse.v1 import worker_pb2 as wpb
from fake import LIMIT_S, Agent, WorkStream


class Started:
    """A worker that runs, within ``with``."""

    def __init__(self, agent: Agent, handle: Callable[[Run], Awaitable[object]], **settings: Any) -> None:
        self.client = agent.client()
        self.worker = self.client.worker(**settings).handle("h", handle)
        self.running: Optional[asyncio.Task[None]] = None

    async def __aenter__(self) -> Started:
        self.running = asyncio.ensure_future(self.worker.run())
        return self

    async def end(self) -> None:
        assert self.running is not None
        self.worker.stop()
        await asyncio.wait_for(self.running, LIMIT_S)

    async def __aexit__(self, *_: object) -> None:
        assert self.running is not None
        self.running.cancel()
        await asyncio.wait([self.running])
        await self.client.close()


class Gate:
    """Where handlers wait; it notes who came, who was let through, and who was cancelled."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.came: list[int] = []
        self.passed: list[int] = []
        self.cancelled: list[int] = []

    async def __call__(self, run: Run) -> None:
        self.came.append(run.token)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(run.token)
            raise
        self.passed.append(run.token)


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(poll(), LIMIT_S)


async def hears(stream: WorkStream, kind: str, token: int) -> Any:
    heard = await stream.hear()
    assert heard.WhichOneof("message") == kind, heard
    settled = getattr(heard, kind)
    assert (settled.run, settled.token) == (f"{token:016x}", token)
    return settled


async def fine(run: Run) -> None:
    pass


async def test_success_is_acked_failure_is_nacked_and_the_worker_lives_on(agent: Agent) -> None:
    async def handle(run: Run) -> None:
        if run.token == 2:
            raise Failure("not now", retry_after=timedelta(seconds=9))
        if run.token == 3:
            int("x")
        if run.token == 4:
            try:
                int("y")
            except ValueError as error:
                raise Failure("outer") from error

    async with Started(agent, handle):
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        await hears(stream, "ack", 1)
        stream.fire(2)
        refused = await hears(stream, "nack", 2)
        assert (refused.reason, refused.retry_after.seconds) == ("not now", 9)
        stream.fire(3)
        refused = await hears(stream, "nack", 3)
        assert refused.reason == "ValueError: invalid literal for int() with base 10: 'x'"
        assert not refused.HasField("retry_after")
        stream.fire(4)
        refused = await hears(stream, "nack", 4)
        assert refused.reason.startswith("outer: ValueError: invalid literal")
        stream.fire(1)
        await hears(stream, "ack", 1)


async def test_a_run_is_handed_over_as_it_came(agent: Agent) -> None:
    got: list[Run] = []

    async def handle(run: Run) -> None:
        got.append(run)

    async with Started(agent, handle):
        stream = await agent.stream()
        await stream.accept()
        stream.fire(7, payload=b"p", content_type="text/plain", missed_count=3, node="n1", generation=2, uid="u")
        await hears(stream, "ack", 7)
    run = got[0]
    assert (run.timer, run.run, run.token, run.attempt) == ("pools/p/timers/t", f"{7:016x}", 7, 1)
    assert (run.payload, run.content_type, run.missed_count, run.node) == (b"p", "text/plain", 3, "n1")
    assert run.due_time.timestamp() == 1_800_000_000.005
    assert run.attempt_timeout == timedelta(seconds=60)


async def test_a_run_for_an_unknown_handler_or_without_times_is_nacked(agent: Agent) -> None:
    async with Started(agent, fine):
        stream = await agent.stream()
        assert list((await stream.accept()).handlers) == ["h"]
        stream.fire(1, handler="other")
        assert (await hears(stream, "nack", 1)).reason == "this worker has no handler other"
        stream.say(wpb.WorkResponse(fire=wpb.Fire(run=wpb.Run(run=f"{2:016x}", token=2, handler="h"))))
        assert "lacks nominal_time" in (await hears(stream, "nack", 2)).reason


async def test_a_handler_that_takes_long_is_reported_alive(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate):
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1, attempt_timeout=Duration(nanos=100_000_000))
        stream.fire(2, attempt_timeout=Duration())
        await hears(stream, "extend", 1)
        await hears(stream, "extend", 1)
        gate.open.set()
        heard = {(await stream.hear()).WhichOneof("message") for _ in range(2)}
        assert heard == {"ack"}


async def test_credits_are_the_concurrency_and_what_exceeds_it_is_given_back(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate, concurrency=2):
        stream = await agent.stream()
        assert (await stream.accept()).credits == 2
        for token in (1, 2, 3):
            stream.fire(token)
        await hears(stream, "release", 3)
        assert gate.came == [1, 2]
        gate.open.set()
        await hears(stream, "ack", 1)
        await hears(stream, "ack", 2)


async def test_the_same_attempt_twice_is_run_once(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate):
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        stream.fire(1)
        await until(lambda: bool(gate.came))
        gate.open.set()
        await hears(stream, "ack", 1)
        await stream.hear_nothing(0.1)
    assert gate.came == [1]


async def test_a_withdrawn_run_is_cancelled_and_frees_its_credit(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate, concurrency=1):
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        await until(lambda: gate.came == [1])
        stream.withdraw(99)
        stream.withdraw(1)
        await hears(stream, "release", 1)
        assert gate.cancelled == [1]
        gate.open.set()
        stream.fire(2)
        await hears(stream, "ack", 2)


async def test_a_stopped_worker_settles_what_has_begun_and_gives_the_rest_back(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate) as started:
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        await until(lambda: gate.came == [1])
        started.worker.stop()
        assert (await stream.hear()).WhichOneof("message") == "detach"
        stream.fire(2)
        await hears(stream, "release", 2)
        gate.open.set()
        await hears(stream, "ack", 1)
        stream.end()
        await started.end()
    assert gate.passed == [1]


async def test_handlers_that_outlast_the_grace_are_cancelled_and_have_failed(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate, grace=timedelta(milliseconds=50)) as started:
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        await until(lambda: gate.came == [1])
        started.worker.stop()
        assert (await stream.hear()).WhichOneof("message") == "detach"
        assert "stopped before" in (await hears(stream, "nack", 1)).reason
        stream.end()
        await started.end()
    assert gate.cancelled == [1]


async def test_a_cancelled_worker_gives_everything_back(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate) as started:
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        await until(lambda: gate.came == [1])
        assert started.running is not None
        started.running.cancel()
        assert (await stream.hear()).WhichOneof("message") == "detach"
        await hears(stream, "release", 1)
        stream.end()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(started.running, LIMIT_S)
    assert gate.cancelled == [1]


async def test_it_returns_after_a_broken_stream_and_counts_what_still_runs(agent: Agent) -> None:
    ends = asyncio.Event()

    async def stubborn(run: Run) -> None:
        if run.token == 1:
            while not ends.is_set():
                try:
                    await ends.wait()
                except asyncio.CancelledError:
                    pass

    async with Started(agent, stubborn, concurrency=2):
        stream = await agent.stream()
        assert (await stream.accept()).credits == 2
        stream.fire(1)
        stream.fire(2)
        await hears(stream, "ack", 2)
        stream.end()
        again = await agent.stream()
        assert (await again.accept()).credits == 1
        ends.set()
        renewed = await again.hear()
        assert renewed.attach.credits == 2
        again.fire(3)
        await hears(again, "ack", 3)


async def test_the_handler_of_a_broken_stream_is_cancelled(agent: Agent) -> None:
    gate = Gate()
    async with Started(agent, gate):
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        await until(lambda: gate.came == [1])
        stream.end()
        await until(lambda: gate.cancelled == [1])


async def test_an_agent_that_comes_later_or_again_is_found(agent: Agent) -> None:
    await agent.stop()
    async with Started(agent, fine) as started:
        await asyncio.sleep(0.2)
        await agent.start()
        stream = await agent.stream()
        await stream.accept()
        await asyncio.wait_for(started.worker.attached(), LIMIT_S)
        await agent.stop()
        await agent.start()
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        await hears(stream, "ack", 1)


async def test_what_does_not_pass_by_itself_ends_the_worker(agent: Agent) -> None:
    worker = dormouse.Client(agent.address).worker()
    with pytest.raises(dormouse.InvalidArgument):
        await worker.run()
    with pytest.raises(dormouse.InvalidArgument):
        worker.handle("a b", fine)

    async def no_agent(self: Agent, requests: Any, context: Any) -> None:
        import grpc

        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "a coordinator has no workers")

    server = Agent()
    server.Work = no_agent.__get__(server)  # type: ignore[method-assign]
    await server.start()
    async with Started(server, fine) as started:
        assert started.running is not None
        with pytest.raises(dormouse.Unimplemented, match="no workers"):
            await asyncio.wait_for(started.running, LIMIT_S)
    await server.stop()


async def test_a_long_reason_is_cut_between_characters(agent: Agent) -> None:
    async def handle(run: Run) -> None:
        raise Failure("€" * 400)

    async with Started(agent, handle):
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        assert (await hears(stream, "nack", 1)).reason == "€" * 341


async def test_a_handler_that_is_not_async_has_failed(agent: Agent) -> None:
    async with Started(agent, lambda run: None):  # type: ignore[arg-type, return-value]
        stream = await agent.stream()
        await stream.accept()
        stream.fire(1)
        assert "not async" in (await hears(stream, "nack", 1)).reason
