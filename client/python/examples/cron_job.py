"""A job by the calendar, with a time zone: shows when it will run, then makes it run every second, three times."""

import asyncio
import os

from dormouse import Client, Cron, Handler, Run, Timer

ADDRESS = os.environ.get("DORMOUSE_ADDR", "http://127.0.0.1:7401")


async def main() -> None:
    async with Client(ADDRESS) as client:
        for time in await client.preview(Cron("30 2 * * SUN", "Europe/Berlin"), count=3):
            print(f"a weekly report would run at {time.local_time} {time.note}".rstrip())

        worker = client.worker()
        runs: list[str] = []

        @worker.handler("example-report")
        async def report(run: Run) -> None:
            if run.run not in runs:
                runs.append(run.run)
                print(f"report {len(runs)} of the second {run.nominal_time:%H:%M:%S}")
            if len(runs) == 3:
                worker.stop()

        timer = Timer(Cron("* * * * * *", "Europe/Berlin"), Handler("example-report"), max_occurrences=3)
        created = await client.create(timer)
        await worker.run()
        print(f"{created.name} is over: {(await client.cancel(created.name)).outcome.value}")


asyncio.run(asyncio.wait_for(main(), 30))
