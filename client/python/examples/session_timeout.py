"""Two sessions with a time-out each: one user comes back and logs out in time, the other one is logged out."""

import asyncio
import os
from datetime import timedelta

from dormouse import After, CancelOutcome, Client, Handler, Run, Timer

ADDRESS = os.environ.get("DORMOUSE_ADDR", "http://127.0.0.1:7401")
TIMEOUT = After(timedelta(seconds=1))


async def main() -> None:
    async with Client(ADDRESS) as client:
        worker = client.worker()
        ended: list[str] = []

        @worker.handler("example-session")
        async def end_session(run: Run) -> None:
            ended.append(run.payload.decode())
            print(f"{ended[-1]} was away for too long")
            worker.stop()

        users = ["alice", "bob"]
        timers = [Timer(TIMEOUT, Handler("example-session"), payload=user.encode()) for user in users]
        alice, bob = [await client.create(timer) for timer in timers]

        await asyncio.sleep(0.5)
        await client.rearm(alice.name, TIMEOUT)
        print("alice is back, and has another second")
        cancelled = await client.cancel(alice.name)
        print(f"alice logs out: her time-out is {cancelled.outcome.value}")
        assert cancelled.outcome is CancelOutcome.CANCELLED

        await worker.run()
        assert ended == ["bob"], ended
        print(f"bob's time-out is {(await client.cancel(bob.name)).outcome.value} now")


asyncio.run(asyncio.wait_for(main(), 30))
