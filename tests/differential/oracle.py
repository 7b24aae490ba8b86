"""Vixie cron's rules as its manual tells them, over Python's own zoneinfo: slow, small, and written from the rules.

Readings and instants are seconds since 1970, of the clock on the wall and of UTC. The engine goes through time and
asks what the wall shows; this goes through what the wall may show and asks when that is.
"""

import bisect
import datetime
import functools
import json
import zoneinfo
from dataclasses import dataclass, replace

EPOCH = datetime.date(1970, 1, 1)
DAY = 86_400
# Until when the changes of the clocks are known: the year 2075.
LAST = 3_313_000_000
# The longest silence of any expression (a fifth Friday in February), and a bit.
HORIZON_DAYS = 42 * 366
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()


@dataclass(frozen=True)
class Rules:
    """How somebody reads an expression. The defaults are vixie's, but for gaps of more than three hours."""

    gap: str = "shift"  # shift: to its end; skip; move: by its length
    overlap: str = "first"  # first, last, both
    days: str = "star"  # AND if a field begins with *; plain: if it is nothing but *; and: always
    elapsed: bool = True  # a minute or hour that begins with * follows elapsed time
    gap_max: int | None = None  # a longer gap is skipped


class Zone:
    """The stretches between two settings of a clock: where each begins, and what it is ahead of UTC."""

    def __init__(self, name):
        self.begins, self.offsets = [-(10**12)], [0]
        zone = zoneinfo.ZoneInfo(name)

        def offset(instant):
            at = datetime.datetime.fromtimestamp(instant, datetime.timezone.utc)
            return int(at.astimezone(zone).utcoffset().total_seconds())

        # From 1969 on. No clock was ever set and set back within a day; if one had been, the engine's answers
        # would tell.
        step, instant = DAY, -DAY * 366
        last = offset(instant)
        self.offsets[0] = last
        while instant < LAST:
            ahead = offset(instant + step)
            if ahead != last:
                low, high = instant, instant + step
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if offset(middle) == last else (low, middle)
                self.begins.append(high)
                self.offsets.append(offset(high))
            last, instant = ahead, instant + step

    def place(self, instant):
        return bisect.bisect_right(self.begins, instant) - 1

    def offset(self, instant):
        return self.offsets[self.place(instant)]

    def around(self, instant):
        """The offsets of the stretches within two days of an instant."""
        return self.offsets[self.place(instant - 2 * DAY) : self.place(instant + 2 * DAY) + 1]

    def when(self, reading):
        """Every instant at which the wall shows a reading; and the gap it is in, by the stretch that ends it."""
        first, last = self.place(reading - 2 * DAY), self.place(reading + 2 * DAY)
        shown, gap = [], None
        for place in range(first, last + 1):
            instant = reading - self.offsets[place]
            end = self.begins[place + 1] if place + 1 < len(self.begins) else 10**12
            if self.begins[place] <= instant < end:
                shown.append(instant)
            if place > 0:
                begin, before = self.begins[place], self.offsets[place - 1]
                if begin + before <= reading < begin + self.offsets[place]:
                    gap = place
        return shown, gap


@functools.lru_cache(maxsize=None)
def zone(name):
    return Zone(name)


def keep(names, path):
    """Writes zones down, since to find their changes takes longer than all else."""
    with open(path, "w") as out:
        json.dump({name: [zone(name).begins, zone(name).offsets] for name in names}, out)


def kept(path):
    """The zones that were written down, by name."""
    found = {}
    with open(path) as file:
        for name, (begins, offsets) in json.load(file).items():
            found[name] = Zone.__new__(Zone)
            found[name].begins, found[name].offsets = begins, offsets
    return found


def numbers(text, low, high, names=(), first=0):
    """The values that a field of plain items names."""
    found = set()
    for item in text.lower().split(","):
        span, _, step = item.partition("/")
        if span in ("*", "?"):
            begin, end = low, high
        else:
            begin, _, end = span.partition("-")
            value = lambda word: names.index(word) + first if word in names else int(word)
            begin, end = value(begin), value(end or begin)
        found.update(range(begin, end + 1, int(step or 1)))
    return found


class Expression:
    """Five fields, or six with seconds first; of the marks L, 5L and 5#2 alone in their field."""

    def __init__(self, text):
        fields = text.split()
        fields = fields if len(fields) == 6 else ["0", *fields]
        self.fields = second, minute, hour, day, month, weekday = fields
        self.times = sorted(
            h * 3600 + m * 60 + s
            for h in numbers(hour, 0, 23)
            for m in numbers(minute, 0, 59)
            for s in numbers(second, 0, 59)
        )
        self.months = numbers(month, 1, 12, MONTHS, 1)
        self.last_day = day == "L"
        self.days = set() if self.last_day else numbers(day, 1, 31)
        self.nth, self.last_weekday = None, weekday.endswith("L")
        if "#" in weekday:
            weekday, _, nth = weekday.partition("#")
            self.nth = int(nth)
        self.weekdays = {it % 7 for it in numbers(weekday.rstrip("L"), 0, 6, WEEKDAYS)}
        self.follows_elapsed = minute[0] == "*" or hour[0] == "*"

    def day_matches(self, date, rule):
        if date.month not in self.months:
            return False
        day, weekday = self.fields[3], self.fields[5]
        length = ((date.replace(day=28) + datetime.timedelta(4)).replace(day=1) - datetime.timedelta(1)).day
        by_month = date.day in self.days or (self.last_day and date.day == length)
        by_week = date.isoweekday() % 7 in self.weekdays
        if self.nth:
            by_week = by_week and (date.day - 1) // 7 + 1 == self.nth
        if self.last_weekday:
            by_week = by_week and date.day + 7 > length
        both = {
            "star": day[0] == "*" or weekday[0] == "*",
            "plain": day == "*" or weekday == "*",
            "and": True,
        }[rule]
        return (by_month and by_week) if both else (by_month or by_week)

    def matches(self, reading, rule):
        date = EPOCH + datetime.timedelta(days=reading // DAY)
        place = bisect.bisect_left(self.times, reading % DAY)
        return self.times[place : place + 1] == [reading % DAY] and self.day_matches(date, rule)

    def readings(self, first, rule):
        """Every matching reading from this one on, in order."""
        number, time = divmod(first, DAY)
        for number in range(number, number + HORIZON_DAYS):
            date = EPOCH + datetime.timedelta(days=number)
            if date.month in self.months and self.day_matches(date, rule):
                for at in self.times[bisect.bisect_left(self.times, time) :]:
                    yield number * DAY + at
            time = 0


def instants(expression, place, reading, rules):
    """When a matching reading is due."""
    if rules.elapsed and expression.follows_elapsed:
        rules = replace(rules, gap="skip", overlap="both")
    shown, gap = place.when(reading)
    if shown:
        return {"first": [min(shown)], "last": [max(shown)], "both": shown}[rules.overlap]
    if gap is None or rules.gap == "skip":
        return []
    begin, before = place.begins[gap], place.offsets[gap - 1]
    if rules.gap_max is not None and place.offsets[gap] - before > rules.gap_max:
        return []
    return [begin if rules.gap == "shift" else reading - before]


def next_time(expression, place, after, rules):
    """The first instant strictly after this one, or none."""
    best = None
    for reading in expression.readings(after + min(place.around(after)), rules.days):
        if best is not None and reading - max(place.around(best)) > best:
            break
        for instant in instants(expression, place, reading, rules):
            if instant > after and (best is None or instant < best):
                best = instant
    return best
