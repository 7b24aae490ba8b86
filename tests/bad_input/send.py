"""How a row of the table becomes a call: requests by their fields, or as bare bytes."""

from __future__ import annotations

from typing import Callable

import answers
from dormouse.v1 import timer_pb2 as pb

LIMIT_S = 30
SERVICE = "dormouse.v1.TimerService"
# Far enough away that nothing of it happens while the table is gone through.
BASE = {"schedule": {"after": {"seconds": 86_400}}, "target": {"handler": {"name": "nobody"}}}

Send = Callable[[object, object], answers.Answer]


def call(method: str, request) -> Send:
    """One call with this request."""

    def send(stage, member) -> answers.Answer:
        return answers.of_call(lambda: getattr(member.timers, method)(request, timeout=LIMIT_S))

    return send


def create(**fields: object) -> Send:
    """CreateTimer with these fields, and a good timer unless they say otherwise."""
    made = {"timer": BASE, **fields}
    return call("CreateTimer", pb.CreateTimerRequest(**{key: it for key, it in made.items() if it is not None}))


def built(**fields: object) -> pb.Timer:
    """A good timer but for these fields; None leaves one out."""
    return pb.Timer(**{key: it for key, it in {**BASE, **fields}.items() if it is not None})


def timer(**fields: object) -> Send:
    """CreateTimer with a good timer but for these fields."""
    return call("CreateTimer", pb.CreateTimerRequest(timer=built(**fields)))


def updated(name: str = "pools/default/timers/earlier", mask: list[str] = ["payload"], **fields: object) -> Send:
    """UpdateTimer with a good timer but for these fields."""
    request = pb.UpdateTimerRequest(timer=built(**fields))
    request.timer.name = name
    request.update_mask.paths.extend(mask)
    return call("UpdateTimer", request)


def raw(method: str, message: bytes, service: str = SERVICE) -> Send:
    """A call whose message is these bytes."""

    def send(stage, member) -> answers.Answer:
        multi = member.channel.unary_unary(f"/{service}/{method}", request_serializer=None, response_deserializer=None)
        return answers.of_call(lambda: multi(message, timeout=LIMIT_S))

    return send
