"""Rows that take more than one call: what comes before, and the answer that counts."""

from __future__ import annotations

import os
import queue
import random
import re
import socket
import time
import uuid
from typing import Callable, Iterator

import answers
from answers import Answer
from dormouse.v1 import timer_pb2 as pb
from dormouse.v1 import worker_pb2 as wpb
from send import LIMIT_S, BASE, built, call, create

EARLIER = "pools/default/timers/earlier"
MISSING = "pools/default/timers/missing"
RUN_LIMIT_S = 10


def fresh_id(length: int = 16) -> str:
    return os.urandom(64).hex()[:length]


def request_id(age_s: int = 0) -> str:
    """A UUID of version 7 that was made so long ago."""
    millis = int((time.time() - age_s) * 1000)
    value = millis << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(3 << 62) | 2 << 62))


def old_request_id() -> str:
    return request_id(age_s=365 * 86_400)


def made(member, **fields: object) -> pb.Timer:
    """A good timer, as it was created."""
    return member.timers.CreateTimer(pb.CreateTimerRequest(timer=built(**fields)), timeout=LIMIT_S).timer


# ---- timers


def longest_id(stage, member) -> Answer:
    return create(timer_id=fresh_id(63))(stage, member)


def cancel_of_what_is_missing(stage, member) -> Answer:
    answer = call("CancelTimer", pb.CancelTimerRequest(name=MISSING))(stage, member)
    if answer.code == "OK" and answer.value.outcome != pb.CANCEL_OUTCOME_NOT_FOUND:
        return Answer(f"outcome {answer.value.outcome}")
    return answer


def two_schedules(stage, member) -> Answer:
    """Both on the wire; by protobuf's rule the last one counts, and not a mixture."""
    first = pb.CreateTimerRequest(timer=built(schedule={"after": {"seconds": 3600}}))
    second = pb.CreateTimerRequest(timer=pb.Timer(schedule={"every": {"interval": {"seconds": 3600}}}))
    message = first.SerializeToString() + second.SerializeToString()
    multi = member.channel.unary_unary(
        "/dormouse.v1.TimerService/CreateTimer",
        request_serializer=None,
        response_deserializer=pb.CreateTimerResponse.FromString,
    )
    answer = answers.of_call(lambda: multi(message, timeout=LIMIT_S))
    if answer.code == "OK" and answer.value.timer.schedule.WhichOneof("kind") != "every":
        return Answer(f"a schedule {answer.value.timer.schedule}")
    return answer


def stale_etag(stage, member) -> Answer:
    timer = made(member)
    request = pb.UpdateTimerRequest(timer=built(payload=b"1"))
    request.timer.name, request.timer.etag = timer.name, timer.etag
    request.update_mask.paths.append("payload")
    first = call("UpdateTimer", request)(stage, member)
    return first if first.code != "OK" else call("UpdateTimer", request)(stage, member)


def request_again(stage, member) -> Answer:
    send = create(request_id=request_id())
    first, second = send(stage, member), send(stage, member)
    if {first.code, second.code} != {"OK"}:
        return second
    same = first.value.timer.uid == second.value.timer.uid
    return second if same else Answer("two timers")


def request_with_another_body(stage, member) -> Answer:
    asked = request_id()
    first = create(request_id=asked)(stage, member)
    other = create(request_id=asked, timer={**BASE, "payload": b"another"})(stage, member)
    return other if first.code == "OK" else first


def cancel_with_id(text: str) -> Callable[[object, object], Answer]:
    return call("CancelTimer", pb.CancelTimerRequest(name=MISSING, request_id=text))


def foreign(method: str) -> Callable[[object, object], Answer]:
    """At an agent, about a timer of another pool that the coordinator knows."""

    def send(stage, member) -> Answer:
        name = _foreign(stage)
        kind = {
            name: it.input_type for name, it in pb.DESCRIPTOR.services_by_name["TimerService"].methods_by_name.items()
        }
        request = getattr(pb, kind[method].name)(name=name)
        if method == "RearmTimer":
            request.after.seconds = 3600
        return call(method, request)(stage, member)

    return send


def _foreign(stage) -> str:
    request = pb.CreateTimerRequest(pool="other", timer_id="foreign", timer=BASE)
    call("CreateTimer", request)(stage, stage.coordinator)
    return "pools/other/timers/foreign"


def foreign_is_there(stage, member) -> Answer:
    answer = call("GetTimer", pb.GetTimerRequest(name=_foreign(stage)))(stage, stage.coordinator)
    if answer.code == "OK" and answer.value.timer.state != pb.TIMER_STATE_SCHEDULED:
        return Answer(f"a state {answer.value.timer.state}")
    return answer


# ---- batches, pipelines, watches


def _batch(requests: list[pb.CreateTimerRequest], member) -> list[Answer]:
    batch = pb.BatchCreateTimersRequest(requests=requests)
    answer = answers.of_call(lambda: member.timers.BatchCreateTimers(batch, timeout=LIMIT_S))
    return [answers.of_item(it) for it in answer.value.results] if answer.code == "OK" else [answer] * len(requests)


def batch_of(count: int) -> Callable[[object, object], Answer]:
    def send(stage, member) -> Answer:
        results = _batch([pb.CreateTimerRequest(timer=BASE)] * count, member)
        return next((it for it in results if it.code != "OK"), results[0])

    return send


def _with_a_bad_item(member) -> list[Answer]:
    good = pb.CreateTimerRequest(timer=BASE)
    return _batch([good, pb.CreateTimerRequest(timer_id="Upper", timer=BASE), good], member)


def bad_item(stage, member) -> Answer:
    return _with_a_bad_item(member)[1]


def beside_a_bad_item(stage, member) -> Answer:
    first, _, last = _with_a_bad_item(member)
    return first if first.code != "OK" else last


def duplicate_items(stage, member) -> Answer:
    results = _batch([pb.CreateTimerRequest(timer_id=fresh_id(), timer=BASE)] * 2, member)
    codes = sorted(it.code for it in results)
    return Answer(codes[0] if codes[1] == "OK" else f"{codes}")


def batch_cancel_of(count: int) -> Callable[[object, object], Answer]:
    requests = [pb.CancelTimerRequest(name=MISSING)] * count
    return call("BatchCancelTimers", pb.BatchCancelTimersRequest(requests=requests))


def bad_cancel_item(stage, member) -> Answer:
    requests = [pb.CancelTimerRequest(name=MISSING), pb.CancelTimerRequest(name="t")]
    answer = call("BatchCancelTimers", pb.BatchCancelTimersRequest(requests=requests))(stage, member)
    return answers.of_item(answer.value.results[1]) if answer.code == "OK" else answer


def pipelined(request: pb.PipelineRequest) -> Callable[[object, object], Answer]:
    """The answer to a request on a stream, which lives on: a good one after it is answered, too."""

    def send(stage, member) -> Answer:
        requests = Said(request)
        responses = member.timers.Pipeline(requests, timeout=LIMIT_S)
        first = answers.of_call(lambda: next(responses))
        if first.code == "OK":
            requests.say(pb.PipelineRequest(id=8, cancel={"name": MISSING}))
            second = answers.of_call(lambda: next(responses))
            if second.code != "OK" or (first.value.id, second.value.id) != (request.id, 8):
                return Answer(f"the stream does not go on: {second}")
        requests.end()
        return answers.of_item(first.value) if first.code == "OK" else first

    return send


def watched(token: str, pool: str = "") -> Callable[[object, object], Answer]:
    def send(stage, member) -> Answer:
        changes = member.timers.WatchTimers(pb.WatchTimersRequest(pool=pool, resume_token=token), timeout=LIMIT_S)
        answer = answers.of_call(lambda: next(changes))
        changes.cancel()
        return answer

    return send


# ---- workers


class Said:
    """What goes up on a stream, one message after the other."""

    def __init__(self, *messages: object) -> None:
        self._messages: queue.Queue = queue.Queue()
        for message in messages:
            self.say(message)

    def say(self, message: object) -> None:
        self._messages.put(message)

    def end(self) -> None:
        self._messages.put(None)

    def __iter__(self) -> Said:
        return self

    def __next__(self) -> object:
        message = self._messages.get()
        if message is None:
            raise StopIteration
        return message


def says(message: dict) -> Callable[[object, object], Answer]:
    """A stream that begins with this; the status with which it ends."""

    def send(stage, member) -> Answer:
        return _ending(Said(wpb.WorkRequest(**message)), member)

    return send


def attached_says(message: dict) -> Callable[[object, object], Answer]:
    """The same after a good Attach."""

    def send(stage, member) -> Answer:
        attach = wpb.WorkRequest(attach={"handlers": ["unused"], "credits": 1})
        return _ending(Said(attach, wpb.WorkRequest(**message)), member)

    return send


def _ending(requests: Said, member) -> Answer:
    responses = member.workers.Work(requests, timeout=LIMIT_S)
    answer = answers.of_call(lambda: [it for it in responses])
    requests.end()
    return answer


def settles_what_it_never_had(stage, member) -> Answer:
    def play(work: Work) -> Iterator[wpb.WorkRequest]:
        yield wpb.WorkRequest(ack={"run": work.run.run, "token": work.run.token + 1000})
        yield wpb.WorkRequest(ack={"run": "f" * 16, "token": 1})
        yield wpb.WorkRequest(nack={"run": "e" * 16, "token": 0, "reason": "never claimed"})
        yield wpb.WorkRequest(ack={"run": work.run.run, "token": work.run.token})

    return _played(member, play)


def settles_twice(stage, member) -> Answer:
    def play(work: Work) -> Iterator[wpb.WorkRequest]:
        yield wpb.WorkRequest(ack={"run": work.run.run, "token": work.run.token})
        yield wpb.WorkRequest(nack={"run": work.run.run, "token": work.run.token, "reason": "too late"})
        yield wpb.WorkRequest(ack={"run": work.run.run, "token": work.run.token})

    return _played(member, play)


def settles_with_a_stale_token(stage, member) -> Answer:
    def play(work: Work) -> Iterator[wpb.WorkRequest]:
        stale = work.run.token
        yield wpb.WorkRequest(nack={"run": work.run.run, "token": stale, "retry_after": {"nanos": 1_000_000}})
        work.next()
        yield wpb.WorkRequest(nack={"run": work.run.run, "token": stale, "reason": "stale"})
        yield wpb.WorkRequest(extend={"run": work.run.run, "token": stale})
        yield wpb.WorkRequest(ack={"run": work.run.run, "token": work.run.token})

    return _played(member, play)


class Work:
    """A worker of one handler with the run that it was given last."""

    def __init__(self, member, handler: str) -> None:
        self.requests = Said(wpb.WorkRequest(attach={"handlers": [handler], "credits": 1}))
        self.responses = member.workers.Work(self.requests, timeout=RUN_LIMIT_S)
        assert next(self.responses).WhichOneof("message") == "attached"
        self.run = wpb.Run()

    def next(self) -> None:
        self.run = next(it.fire.run for it in self.responses if it.WhichOneof("message") == "fire")


def _played(member, play: Callable[[Work], Iterator[wpb.WorkRequest]]) -> Answer:
    """Runs a timer with a worker that says what ``play`` says; how the timer ends."""
    handler = f"h-{fresh_id()}"
    work = Work(member, handler)
    timer = made(member, schedule={"after": {}}, target={"handler": {"name": handler}})
    work.next()
    for message in play(work):
        work.requests.say(message)
    ended = _end_of(member, timer.name)
    work.requests.say(wpb.WorkRequest(detach={}))
    work.requests.end()
    return Answer(ended.state, message=ended.reason)


class _End:
    def __init__(self, member, timer: pb.Timer) -> None:
        self.state = pb.TimerState.Name(timer.state).removeprefix("TIMER_STATE_")
        runs = member.timers.ListRuns(pb.ListRunsRequest(name=timer.name), timeout=LIMIT_S).runs
        self.reason = runs[0].reason if runs else ""


def _end_of(member, name: str) -> _End:
    """How a timer ends, if it does within the limit."""
    until = time.monotonic() + RUN_LIMIT_S
    going = (pb.TIMER_STATE_SCHEDULED, pb.TIMER_STATE_RUNNING, pb.TIMER_STATE_PENDING)
    while True:
        timer = member.timers.GetTimer(pb.GetTimerRequest(name=name), timeout=LIMIT_S).timer
        if timer.state not in going or time.monotonic() > until:
            return _End(member, timer)
        time.sleep(0.02)


# ---- targets


def never_called(host: str, reason: str = "allow") -> Callable[[object, object], Answer]:
    """A timer that is to call this host runs, fails for this reason, and calls nobody."""

    def send(stage, member) -> Answer:
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
            listener.settimeout(0.2)
            url = f"http://{host}:{listener.getsockname()[1]}/latest/meta-data"
            target = {"http": {"url": url, "timeout": {"seconds": 1}}}
            request = pb.CreateTimerRequest(
                timer={"schedule": {"after": {}}, "target": target, "retry": {"max_attempts": 1}}
            )
            answer = answers.of_call(lambda: member.timers.CreateTimer(request, timeout=LIMIT_S))
            if answer.code != "OK":
                return answer
            ended = _end_of(member, answer.value.timer.name)
            if not re.search(reason, ended.reason):
                return Answer(f"{ended.state} with the reason {ended.reason!r}")
            try:
                listener.accept()[0].close()
            except TimeoutError:
                return Answer(ended.state)
            return Answer("CALLED")

    return send


# ---- floods


def random_messages(stage, member) -> Answer:
    """200 messages of random bytes, the same each time; the answer that is no refusal, if there is one."""
    chance = random.Random(7)
    multi = member.channel.unary_unary("/dormouse.v1.TimerService/CreateTimer")
    answer = Answer("none")
    for _ in range(200):
        message = chance.randbytes(chance.randrange(1, 300))
        answer = answers.of_call(lambda: multi(message, timeout=LIMIT_S))
        if answer.code not in ("INTERNAL", "INVALID_ARGUMENT"):
            return answer
    return answer


def calls_at_once(count: int) -> Callable[[object, object], Answer]:
    """So many calls at once by a client that keeps to the rules; all are answered."""

    def send(stage, member) -> Answer:
        request = pb.GetTimerRequest(name=EARLIER)
        calls = [member.timers.GetTimer.future(request, timeout=4 * LIMIT_S) for _ in range(count)]
        for each in calls:
            answer = answers.of_call(each.result)
            if answer.code != "OK":
                return answer
        return answer

    return send
