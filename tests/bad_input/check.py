"""Sends every row of the table, and says which are answered otherwise than it says.

After each group the processes must be well: they answer, an earlier timer is there unchanged, nobody has panicked,
and nobody has grown by what a length claimed.
"""

from __future__ import annotations

import sys
import time

from answers import Answer
from rows import GROUPS, Group, Row
from stage import Member, Stage


def main(words: list[str]) -> int:
    failed: list[str] = []
    count = 0
    with Stage() as stage:
        for group in GROUPS:
            if words and not any(word in group.name for word in words):
                continue
            begun = time.monotonic()
            wrong = [line for row in group.rows for line in judge(stage, group, row)]
            wrong += [f"{group.name}: afterwards: {ill}" for ill in stage.ills()]
            count += len(group.rows)
            print(
                f"{group.name}: {len(group.rows)} rows, {len(wrong)} wrong, {time.monotonic() - begun:.1f} s",
                flush=True,
            )
            for line in wrong:
                print(f"    {line}", flush=True)
            failed += wrong
    print(f"{count} rows, {len(failed)} wrong")
    return 1 if failed else 0


def judge(stage: Stage, group: Group, row: Row) -> list[str]:
    """What is wrong with the answers to one row, a line for each place that was asked."""
    wrong = []
    for place in row.places or group.places:
        member: Member = getattr(stage, place)
        try:
            answer = row.send(stage, member)
        except Exception as error:  # What the row does, not what is answered.
            answer = Answer(f"{type(error).__name__}: {error}")
        if not is_as_expected(answer, row):
            wanted = f"{row.code} {row.field}".rstrip()
            told = f"{answer.code} {', '.join(answer.fields)} {answer.message}".strip()
            wrong.append(f"{group.name}, {row.label}, {place}: expected {wanted}, got {told[:300]}")
    return wrong


def is_as_expected(answer: Answer, row: Row) -> bool:
    if answer.code not in row.code.split(" or "):
        return False
    return not row.field or row.field in answer.fields


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
