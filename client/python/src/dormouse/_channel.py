"""One lazy connection, and the loop that tries a call again where that helps."""

from __future__ import annotations

import asyncio
import logging
from typing import Optional, TypeVar, cast

import grpc
import grpc.aio

from . import _address, errors
from ._retry import Retries
from .v1 import timer_pb2_grpc, worker_pb2_grpc

LOG = logging.getLogger("dormouse")

_ANSWER_BYTES_MAX = 128 << 20
"""The largest answer: a page of timers with the largest payloads."""
_OPTIONS = [
    ("grpc.max_receive_message_length", _ANSWER_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    # The environment's proxy is for the web; an agent is a neighbour.
    ("grpc.enable_http_proxy", 0),
    # Whether trying again helps is said by the answer, and heard by Calls.
    ("grpc.enable_retries", 0),
    ("grpc.default_authority", "localhost"),
    # A silent connection is asked for a sign of life, while a call is open on it.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A connection that was refused may be there at the next try.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 3_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

Request = TypeVar("Request")
Response = TypeVar("Response")


class Calls:
    """The connection to one address. It is opened by the first call, and again whenever it was lost."""

    def __init__(self, address: str, timeout_s: float, retries: Retries) -> None:
        self.address = address
        self._target = _address.target(address)
        self._timeout_s = timeout_s
        self._retries = retries
        self._channel: Optional[grpc.aio.Channel] = None
        self._timers: Optional[timer_pb2_grpc.TimerServiceAsyncStub] = None
        self._closed = False

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel; it must be asked for within the loop that uses it."""
        if self._closed:
            raise RuntimeError("the client was closed")
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        return self._channel

    async def close(self) -> None:
        self._closed = True
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        """Sends a request until it is answered, refused for good, or out of attempts. The same request goes each
        time, its id included."""
        attempt = 1
        while True:
            try:
                return await method(request, timeout=self._timeout_s)
            except grpc.aio.AioRpcError as failed:
                error = self.error(failed)
            wait_s = self._retries.wait_s(attempt, error)
            if wait_s is None:
                raise error
            LOG.debug("%s is asked again in %.3f s: %s", self.address, wait_s, error)
            await asyncio.sleep(wait_s)
            attempt += 1

    def error(self, failed: grpc.aio.AioRpcError) -> errors.Error:
        """Why a call failed."""
        return errors.from_rpc(failed, self.address)

    @property
    def timers(self) -> timer_pb2_grpc.TimerServiceAsyncStub:
        """The calls about timers, which both agents and coordinator answer."""
        if self._timers is None:
            self._timers = cast("timer_pb2_grpc.TimerServiceAsyncStub", timer_pb2_grpc.TimerServiceStub(self.channel))
        return self._timers

    @property
    def workers(self) -> worker_pb2_grpc.WorkerServiceAsyncStub:
        """The stream of a worker, which only agents answer."""
        return cast("worker_pb2_grpc.WorkerServiceAsyncStub", worker_pb2_grpc.WorkerServiceStub(self.channel))
