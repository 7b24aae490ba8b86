"""A watch: one stream after the other, each going on where the last one ended."""

from __future__ import annotations

import asyncio
from typing import AsyncIterator

import grpc

from . import _wire, errors, info
from ._channel import LOG, Calls
from ._retry import full_jitter_s
from .v1 import timer_pb2 as pb


async def watch(calls: Calls, pool: str, resume_token: str) -> AsyncIterator[info.Change]:
    """The changes of a pool. Raises only what does not pass by itself."""
    failures = 0
    while True:
        call = calls.timers.WatchTimers(pb.WatchTimersRequest(pool=pool, resume_token=resume_token))
        why = "the stream ended"
        try:
            async for response in call:
                failures = 0
                for change in _wire.understood(_wire.changes, response):
                    yield change
                # Only what was taken counts as told: after a break the rest comes again.
                resume_token = response.resume_token or resume_token
        except grpc.aio.AioRpcError as failed:
            error = calls.error(failed)
            if not errors.worth_reconnecting(error):
                raise error from None
            why = str(error)
        finally:
            call.cancel()
        failures += 1
        wait_s = full_jitter_s(failures)
        LOG.warning("the watch at %s is broken, and resumes in %.3f s: %s", calls.address, wait_s, why)
        await asyncio.sleep(wait_s)
