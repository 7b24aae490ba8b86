"""A handler that fails twice: each attempt comes later than the last, and the third one succeeds."""

import asyncio
import os
from datetime import timedelta

from dormouse import After, Client, Failure, Handler, Retry, Run, Timer

ADDRESS = os.environ.get("DORMOUSE_ADDR", "http://127.0.0.1:7401")


async def main() -> None:
    async with Client(ADDRESS) as client:
        worker = client.worker(concurrency=1)

        @worker.handler("example-flaky")
        async def flaky(run: Run) -> None:
            print(f"attempt {run.attempt} with token {run.token}")
            if run.attempt == 1:
                raise ConnectionError("the other side is not there")
            if run.attempt == 2:
                raise Failure("the other side asks for patience", retry_after=timedelta(milliseconds=500))
            worker.stop()

        timer = Timer(
            After(timedelta(0)),
            Handler("example-flaky"),
            retry=Retry(max_attempts=3, backoff_min=timedelta(milliseconds=200), backoff_max=timedelta(seconds=1)),
        )
        created = await client.create(timer)
        await worker.run()
        async for run in client.list_runs(created.name):
            print(f"attempt {run.attempt}: {run.state.value} {run.reason}".rstrip())


asyncio.run(asyncio.wait_for(main(), 30))
