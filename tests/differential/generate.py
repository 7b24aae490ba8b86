"""Draws questions: expressions, zones and starts, from a seed. Writes questions.jsonl, offsets.jsonl,
zones.json and asked.json.

With --full every change of every zone's clock from 1970 to 2037 is asked about; otherwise a sample of them.
"""

import argparse
import importlib.resources
import json
import random

import oracle

BEGIN, END = 0, 2_145_916_800  # 1970 to 2037
POLICIES = [(gap, overlap) for gap in ("Shift", "Skip") for overlap in ("First", "Last", "Both")][1:]


def zones():
    """The zones that are not only other names of one, as the database writes them."""
    text = importlib.resources.files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text()
    return sorted({line.split()[1] for line in text.splitlines() if line.startswith("Z ")})


def field(draw, low, high, names=()):
    kind = draw.choices(["star", "step", "value", "range", "list", "rangestep"], [30, 15, 30, 15, 10, 5])[0]
    value = lambda: draw.randint(low, high)
    a, b = sorted((value(), value()))
    if kind == "star":
        return "*"
    if kind == "step":
        return f"*/{draw.randint(2, max(2, (high - low) // 2))}"
    if kind == "value":
        return names[a - low] if names and draw.random() < 0.3 else str(a)
    if a == b:
        return str(a)
    if kind == "range":
        return f"{a}-{b}"
    if kind == "list":
        return ",".join(map(str, sorted({value() for _ in range(draw.randint(2, 4))})))
    return f"{a}-{b}/{draw.randint(1, b - a)}"


def near(draw, reading):
    """A field of hours and one of minutes around a reading: what a change of the clock touches."""
    reading += draw.choice([-5400, -3600, -1800, -900, 0, 600, 900, 1800, 3600])
    hour, minute = reading // 3600 % 24, reading // 60 % 60
    hours = [str(hour), f"{max(0, hour - 1)}-{hour}", "*", f"{hour}-{min(23, hour + 2)}", "0-23", "*/2"]
    minutes = [str(minute), "0,30", "*/15", "*/7", "0-59", "5-55/10", "*"]
    return draw.choices(minutes, [50, 10, 10, 5, 5, 10, 10])[0], draw.choices(hours, [50, 15, 10, 10, 10, 5])[0]


def days(draw):
    kind = draw.choices(["any", "plain", "both", "marks"], [45, 30, 17, 8])[0]
    if kind == "any":
        return "*", "*", "*"
    month = draw.choices(["*", field(draw, 1, 12, oracle.MONTHS)], [70, 30])[0]
    if kind == "marks":
        weekday = draw.randint(0, 6)
        return draw.choice([("L", month, "*"), ("*", month, f"{weekday}L"), ("*", month, f"{weekday}#{draw.randint(1, 4)}")])
    # A date that exists in every month, so that nothing is refused for never coming.
    day, weekday = field(draw, 1, 28), field(draw, 0, 6, oracle.WEEKDAYS)
    if kind == "plain":
        return draw.choice([(day, month, "*"), ("*", month, weekday)])
    return day, month, weekday


def question(draw, name, start, reading=None):
    minute, hour = near(draw, reading) if reading is not None and draw.random() < 0.7 else (field(draw, 0, 59), field(draw, 0, 23))
    expression = " ".join((minute, hour, *days(draw)))
    if draw.random() < 0.08:
        expression = f"{draw.choice(['0', '30', '*/20', '15,45'])} {expression}"
    return {"expression": expression, "zone": name, "after": max(BEGIN, start)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--into", required=True)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    names = zones()
    if not asked.full:
        always = ["Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Europe/Dublin", "Pacific/Apia"]
        names = sorted({*always, *draw.sample(names, 40)})
    changes = [
        (name, place)
        for name in names
        for place, begin in enumerate(oracle.zone(name).begins)
        if BEGIN < begin < END
    ]
    all_changes = len(changes)
    draw.shuffle(changes)
    changes = changes if asked.full else changes[: asked.count * 3 // 4]
    questions = []
    for name, place in changes:
        zone = oracle.zone(name)
        begin, before = zone.begins[place], zone.offsets[place - 1]
        start = begin + draw.choice([draw.randint(-30 * 3600, 3 * 3600), draw.randint(-7200, 5400)])
        # A whole day that was left out is rare, so it is asked about more often.
        for _ in range(20 if zone.offsets[place] - before > 3 * 3600 else 1):
            questions.append(question(draw, name, start, begin + draw.choice([before, zone.offsets[place]])))
    while len(questions) < asked.count:
        questions.append(question(draw, draw.choice(names), draw.randint(BEGIN, END)))
    for one in questions[:: 3]:
        gap, overlap = draw.choice(POLICIES)
        questions.append({**one, "gap": gap, "overlap": overlap})
    with open(f"{asked.into}/questions.jsonl", "w") as out:
        out.writelines(json.dumps(one) + "\n" for one in questions)
    with open(f"{asked.into}/offsets.jsonl", "w") as out:
        for name in names:
            # Answers may lie long after the questions.
            begins = [it for it in oracle.zone(name).begins if it > BEGIN]
            points = sorted({*range(BEGIN, oracle.LAST, 20 * oracle.DAY), *begins, *(it - 1 for it in begins)})
            out.write(json.dumps({"zone": name, "offsets_at": points}) + "\n")
    oracle.keep(names, f"{asked.into}/zones.json")
    with open(f"{asked.into}/asked.json", "w") as out:
        full = {"count": asked.count, "seed": asked.seed, "zones": len(names), "changes": len(changes),
                "all_changes": all_changes}
        json.dump(full, out)
    print(f"{asked.count} questions, {len(names)} zones, {len(changes)} of {all_changes} changes of their clocks")


main()
