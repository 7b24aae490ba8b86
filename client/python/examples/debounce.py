"""Waits for quiet: every keystroke puts the timer off, and only the last text is saved.

Each rearm is one call, which is cheap for a timer that its own node keeps in memory.
"""

import asyncio
import os
from datetime import timedelta

from dormouse import After, Client, Durability, Handler, Pinned, Run, Timer

ADDRESS = os.environ.get("DORMOUSE_ADDR", "http://127.0.0.1:7401")
QUIET = After(timedelta(seconds=1))


async def main() -> None:
    async with Client(ADDRESS) as client:
        worker = client.worker()
        saved: list[str] = []

        @worker.handler("example-save")
        async def save(run: Run) -> None:
            saved.append(run.payload.decode())
            print(f"saved: {saved[-1]}")
            worker.stop()

        text = "d"
        timer = Timer(
            QUIET,
            Handler("example-save"),
            payload=text.encode(),
            placement=Pinned(),
            durability=Durability.EPHEMERAL,
        )
        created = await client.create(timer)
        working = asyncio.ensure_future(worker.run())
        for letter in "ormouse":
            await asyncio.sleep(0.2)
            text += letter
            await client.rearm(created.name, QUIET, payload=text.encode())
            print(f"typed: {text}")
        await working
        assert saved == ["dormouse"], saved


asyncio.run(asyncio.wait_for(main(), 30))
