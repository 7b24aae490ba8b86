"""What APScheduler answers. Reads questions.jsonl of a folder, writes apscheduler.jsonl.

It counts days of the week from Monday, so it is given their names; it has no marks, so of those it is not asked.
"""

import datetime
import json
import sys
import zoneinfo

from apscheduler.triggers.cron import CronTrigger

import oracle


def weekdays(field):
    if field == "*":
        return field
    return ",".join(oracle.WEEKDAYS[it % 7] for it in sorted(oracle.numbers(field, 0, 6, oracle.WEEKDAYS)))


with open(f"{sys.argv[1]}/questions.jsonl") as questions, open(f"{sys.argv[1]}/apscheduler.jsonl", "w") as out:
    for line in questions:
        asked = json.loads(line)
        if "gap" in asked:
            continue
        fields = asked["expression"].split()
        second, minute, hour, day, month, weekday = fields if len(fields) == 6 else ["0", *fields]
        if "L" in day + weekday or "#" in weekday:
            out.write(json.dumps({"skipped": True}) + "\n")
            continue
        place = zoneinfo.ZoneInfo(asked["zone"])
        now = datetime.datetime.fromtimestamp(asked["after"] + 1, place)
        try:
            peer = CronTrigger(
                second=second, minute=minute, hour=hour, day=day, month=month.lower(),
                day_of_week=weekdays(weekday), timezone=place,
            )
            found = peer.get_next_fire_time(None, now)
            answer = {"next": None if found is None else int(found.timestamp())}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        out.write(json.dumps(answer) + "\n")
