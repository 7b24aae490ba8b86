"""Compares the answers, explains every difference by a rule, and writes the page.

A difference that no rule explains is an error. A rule explains a difference only if it can be checked: by asking the
oracle under that rule, or by looking at the clocks. Each rule is told in docs/schedules.md, which is checked, too.
"""

import argparse
import collections
import datetime
import importlib.metadata
import json
import re
import subprocess
import sys
from dataclasses import replace

import oracle
from oracle import Rules

# How the peers combine the two fields of days, and the rule that tells of it.
DAYS = {"croniter": "plain", "cron-parser": "plain", "apscheduler": "and"}
DAY_RULES = {"plain": "days-or-after-step", "and": "days-and"}
# Readings of an expression that are not ours: the simplest that explains an answer counts.
READINGS = [
    ("overlap-both", Rules(overlap="both")),
    ("overlap-last", Rules(overlap="last")),
    ("gap-skipped", Rules(gap="skip")),
    ("gap-moved", Rules(gap="move")),
    ("star-fixed", Rules(elapsed=False)),
    ("star-fixed", Rules(elapsed=False, gap="skip")),
    ("star-fixed", Rules(elapsed=False, gap="move")),
    ("star-fixed", Rules(elapsed=False, overlap="both")),
    ("star-fixed", Rules(elapsed=False, overlap="last")),
    ("star-fixed", Rules(elapsed=False, gap="move", overlap="both")),
    ("star-fixed", Rules(elapsed=False, gap="skip", overlap="last")),
    ("star-fixed", Rules(elapsed=False, gap="move", overlap="last")),
]
RULES = {
    "gap-long": "a gap of more than three hours counts as a clock that was corrected: nothing in it is made up for",
    "tz-release": "the databases of time zones differ: its clock shows another offset at one of the two answers",
    "days-or-after-step": "a field of days such as `*/2` counts as restricted, so that either field of days will do",
    "range-of-one": "a range of one value such as `0-0` counts as `*`",
    "days-and": "a day must match both fields of days, always",
    "overlap-both": "a fixed time that comes twice is due twice",
    "overlap-last": "a fixed time that comes twice is due the last time",
    "gap-skipped": "a fixed time in a gap is left out",
    "gap-moved": "a fixed time in a gap is due later by the length of the gap",
    "star-fixed": "a minute or hour that begins with `*` is a list of fixed times like any other",
    "not-later": "the answer is not later than the start, where the clock is set within a day and a half of start or answer",
    "no-match": "the answer is no time of the expression, where the clock is set within a day and a half of start or answer",
    "missed": "a time of the expression is left out, where the clock is set within a day and a half of start or answer",
    "search-off": "its search passes a change of the clock, goes on at another time than midnight, and leaves out what lies between",
    "gives-up": "it gives up its search",
}
GIVES_UP = ("Invalid expression, loop limit exceeded", "CroniterBadDateError")


def read(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def year(instant):
    return (oracle.EPOCH + datetime.timedelta(days=instant // oracle.DAY)).year


class Databases:
    """Where two databases of time zones show different offsets."""

    def __init__(self, folder):
        asked = read(f"{folder}/offsets.jsonl")
        ours = read(f"{folder}/ours-offsets.jsonl")
        node = read(f"{folder}/cron-parser-offsets.jsonl")
        self.zones = oracle.kept(f"{folder}/zones.json")
        self.ours, self.node = ours[0]["release"], node[0]["release"]
        self.python = importlib.metadata.version("tzdata")
        self.differ = {"python": set(), "node": set()}
        for question, mine, theirs in zip(asked, ours, node, strict=True):
            name, points = question["zone"], question["offsets_at"]
            python = [self.zones[name].offset(at) for at in points]
            for where, others in (("python", python), ("node", theirs["offsets"])):
                others = others or [None] * len(points)
                years = {year(at) for at, a, b in zip(points, mine["offsets"], others, strict=True) if a != b}
                self.differ[where] |= {(name, it) for it in years}

    def differs(self, where, name, instants):
        return any((name, year(it)) in self.differ[where] for it in instants if it is not None)


def near_change(zone, instant):
    """Whether the clock is set within a day and a half of an instant."""
    return len(zone.offsets[zone.place(instant - 36 * 3600) : zone.place(instant + 36 * 3600) + 1]) > 1


def lost_on_the_way(zone, after, expected):
    """Whether a time is so early in its day that a search is past it that a change on the way has put off."""
    changes = range(zone.place(after) + 1, zone.place(expected) + 1)
    put_off = max((abs(zone.offsets[it] - zone.offsets[it - 1]) for it in changes), default=0)
    return (expected + zone.offset(expected)) % oracle.DAY < put_off


def explain(peer, question, zone, theirs):
    """The rule by which a peer's answer differs; none if there is no such rule. The databases agree."""
    if "error" in theirs:
        return "gives-up" if theirs["error"].startswith(GIVES_UP) else None
    theirs = theirs["next"]
    if theirs is None:
        return None
    widened = re.sub(r"(?<![\d-])(\d+)-\1(?![\d/-])", "*", question["expression"])
    if peer == "croniter" and widened != question["expression"]:
        widely = explain(peer, {**question, "expression": widened}, zone, {"next": theirs})
        return "range-of-one" if widely else None
    expression, after, days = oracle.Expression(question["expression"]), question["after"], DAYS[peer]
    ask = lambda rules: oracle.next_time(expression, zone, after, replace(rules, days=days))
    expected = ask(Rules())
    if theirs == expected:
        return DAY_RULES[days]  # Ours differs, so it is the days.
    for rule, rules in READINGS:
        if (rule == "star-fixed") == expression.follows_elapsed and theirs == ask(rules):
            return rule
    if peer == "apscheduler" and expected is not None and theirs > expected and lost_on_the_way(zone, after, expected):
        return "search-off"
    if not any(it is not None and near_change(zone, it) for it in (after, expected, theirs)):
        return None
    if theirs <= after:
        return "not-later"
    if not expression.matches(theirs + zone.offset(theirs), days):
        return "no-match"
    return "missed" if expected is not None and theirs > expected else None


class Tally:
    """What came of the questions to one peer."""

    def __init__(self, name):
        self.name, self.asked, self.agreed = name, 0, 0
        self.rules, self.examples, self.unexplained = collections.Counter(), {}, []

    def add(self, question, ours, theirs, rule):
        self.rules[rule] += 1
        self.examples.setdefault(rule, (question, ours, theirs))
        if rule is None:
            self.unexplained.append((question, ours, theirs))


def compare_oracle(questions, ours, databases):
    vixie, policies = Tally("vixie cron's rules"), Tally("the policies")
    for question, mine in zip(questions, ours, strict=True):
        name, after, mine = question["zone"], question["after"], mine.get("next", mine)
        expression, zone = oracle.Expression(question["expression"]), databases.zones[name]
        if "gap" in question:
            tally, rules = policies, Rules(gap=question["gap"].lower(), overlap=question["overlap"].lower())
        else:
            tally, rules = vixie, Rules(gap_max=3 * 3600)
        theirs = oracle.next_time(expression, zone, after, rules)
        tally.asked += 1
        if theirs == mine:
            tally.agreed += 1
        elif isinstance(mine, int) and databases.differs("python", name, (mine, theirs)):
            tally.add(question, mine, theirs, "tz-release")
        elif tally is vixie and mine == oracle.next_time(expression, zone, after, Rules()):
            tally.add(question, mine, theirs, "gap-long")
        else:
            tally.add(question, mine, theirs, None)
    return [vixie, policies]


def compare_peer(peer, questions, ours, folder, databases):
    tally = Tally(peer)
    where = "node" if peer == "cron-parser" else "python"
    plain = [(q, it["next"]) for q, it in zip(questions, ours, strict=True) if "gap" not in q and "next" in it]
    answers = read(f"{folder}/{peer}.jsonl")
    for (question, mine), theirs in zip(plain, answers, strict=True):
        if "skipped" in theirs:
            continue
        tally.asked += 1
        found = theirs.get("next")
        if "error" not in theirs and found == mine:
            tally.agreed += 1
        elif databases.differs(where, question["zone"], (mine, found)):
            tally.add(question, mine, found, "tz-release")
        else:
            zone = databases.zones[question["zone"]]
            rule = explain(peer, question, zone, theirs)
            tally.add(question, mine, theirs.get("error", found), rule)
    return tally


def shown(zone, answer):
    if not isinstance(answer, int):
        return "none" if answer is None else str(answer)
    local = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=answer + zone.offset(answer))
    minutes, seconds = divmod(abs(zone.offset(answer)), 60)
    sign = "-" if zone.offset(answer) < 0 else "+"
    tail = f":{seconds:02}" if seconds else ""
    return f"{local:%Y-%m-%dT%H:%M:%S}{sign}{minutes // 60:02}:{minutes % 60:02}{tail}"


def page(tallies, asked, databases, versions):
    yield "# Compared with others"
    yield ""
    yield "This page is generated by `tests/differential/run.sh --full`; do not edit it. What the rules mean is told in"
    yield "[schedules.md](schedules.md)."
    yield ""
    yield f"{asked['count']:,} questions (seed {asked['seed']}): an expression, one of {asked['zones']} zones, and an instant after"
    yield f"which the next time is wanted. {asked['changes']:,} of the instants lie around a change of a zone's clock between 1970 and"
    yield f"2037, of {asked['all_changes']:,} that these zones have; the others are anywhere in these years. The policies were asked about with"
    yield "every third question."
    yield ""
    yield "| who | version | database of zones |"
    yield "| --- | --- | --- |"
    yield f"| Dormouse | this one | {databases.ours} |"
    yield f"| vixie cron's rules, and the policies | `tests/differential/oracle.py` | tzdata {databases.python} (PyPI) |"
    for peer in ("croniter", "apscheduler"):
        yield f"| {peer} | {versions[peer]} | tzdata {databases.python} (PyPI) |"
    yield f"| cron-parser | {versions['cron-parser']} | {databases.node} (node {versions['node']}) |"
    yield ""
    yield "## Counts"
    yield ""
    yield "| who | asked | the same | other, by a rule | unexplained |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for it in tallies:
        explained = sum(it.rules.values()) - len(it.unexplained)
        yield f"| {it.name} | {it.asked:,} | {it.agreed:,} | {explained:,} | {len(it.unexplained):,} |"
    for it in tallies:
        if it.rules:
            yield from differences(it, databases)


def differences(tally, databases):
    yield ""
    yield f"## {tally.name}"
    yield ""
    yield "| rule | how often | what it does |"
    yield "| --- | ---: | --- |"
    for rule, count in tally.rules.most_common():
        yield f"| `{rule}` | {count:,} | {RULES.get(rule, 'UNEXPLAINED')} |"
    yield ""
    yield "One example of each, in local time:"
    yield ""
    yield "| rule | expression | zone | after | Dormouse | it |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for rule, _ in tally.rules.most_common():
        question, ours, theirs = tally.examples[rule]
        zone = databases.zones[question["zone"]]
        times = " | ".join(shown(zone, it) for it in (question["after"], ours, theirs))
        yield f"| `{rule}` | `{question['expression']}` | {question['zone']} | {times} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("page")
    parser.add_argument("rules", help="the document that tells of every rule")
    asked = parser.parse_args()
    folder = asked.folder
    questions, ours = read(f"{folder}/questions.jsonl"), read(f"{folder}/ours.jsonl")
    databases = Databases(folder)
    tallies = compare_oracle(questions, ours, databases)
    tallies += [compare_peer(peer, questions, ours, folder, databases) for peer in DAYS]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with open(f"{folder}/../node_modules/cron-parser/package.json") as package:
        versions = {"cron-parser": json.load(package)["version"], "node": node.lstrip("v")}
    versions |= {peer: importlib.metadata.version(peer) for peer in ("croniter", "apscheduler")}
    with open(f"{folder}/asked.json") as file:
        lines = page(tallies, json.load(file), databases, versions)
        text = "\n".join(lines) + "\n"
    with open(asked.page, "w") as out:
        out.write(text)
    with open(asked.rules) as document:
        told = document.read()
    failed = False
    for tally in tallies:
        rules = ", ".join(f"{rule} {count}" for rule, count in tally.rules.most_common())
        print(f"{tally.name}: {tally.asked} asked, {tally.agreed} the same; {rules or 'no difference'}")
        for question, mine, theirs in tally.unexplained[:5]:
            failed = True
            zone = databases.zones[question["zone"]]
            print(f"  UNEXPLAINED {json.dumps(question)}: ours {mine} {shown(zone, mine)}, theirs {theirs} {shown(zone, theirs)}")
        for rule in tally.rules:
            if rule is not None and f"`{rule}`" not in told:
                failed = True
                print(f"  {asked.rules} does not tell of `{rule}`")
    sys.exit(failed)


main()
