"""What croniter answers. Reads questions.jsonl of a folder, writes croniter.jsonl."""

import datetime
import json
import sys
import warnings
import zoneinfo

from croniter import croniter

warnings.simplefilter("ignore")


def mark(weekday):
    """croniter writes the last Friday L5."""
    return f"L{weekday[:-1]}" if weekday.endswith("L") else weekday


with open(f"{sys.argv[1]}/questions.jsonl") as questions, open(f"{sys.argv[1]}/croniter.jsonl", "w") as out:
    for line in questions:
        asked = json.loads(line)
        if "gap" in asked:
            continue
        fields = asked["expression"].split()
        fields[-1] = mark(fields[-1])
        start = datetime.datetime.fromtimestamp(asked["after"], zoneinfo.ZoneInfo(asked["zone"]))
        try:
            peer = croniter(" ".join(fields), start, second_at_beginning=len(fields) == 6)
            answer = {"next": int(peer.get_next(float))}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        out.write(json.dumps(answer) + "\n")
