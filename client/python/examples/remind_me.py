"""One timer, one run: asks to be reminded in a second, and is."""

import asyncio
import os
from datetime import timedelta

from dormouse import After, Client, Handler, Run, Timer

ADDRESS = os.environ.get("DORMOUSE_ADDR", "http://127.0.0.1:7401")


async def main() -> None:
    async with Client(ADDRESS) as client:
        worker = client.worker()

        @worker.handler("example-remind")
        async def remind(run: Run) -> None:
            late = run.launched_time - run.nominal_time
            print(f"reminded: {run.payload.decode()} ({late.total_seconds() * 1000:.0f} ms late)")
            worker.stop()

        timer = Timer(After(timedelta(seconds=1)), Handler("example-remind"), payload=b"call Bob back")
        created = await client.create(timer)
        print(f"{created.name} is due at {created.next_times[0]:%H:%M:%S}")
        await worker.run()


asyncio.run(asyncio.wait_for(main(), 30))
