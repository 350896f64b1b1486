"""Stickiness by the definition (docs/stickiness.md)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from services.kit.timerange import parse_duration
from tests.oracle.activity import OTHER, Group, Question, Values, active_in, milliseconds, stands_in
from tests.oracle.series import Key
from tests.oracle.timerange import shifted


class Range:
    """Of each key the number of periods of a range it is active in."""

    def __init__(self, question: Question, number: int, bounds: list[datetime]) -> None:
        self.bounds = bounds
        self.periods: dict[Key, int] = {}
        self.standing: dict[Key, Values | None] = {}
        for key, events in question.histories(number).items():
            inside = [e for e in events if milliseconds(bounds[0]) <= e["timestamp"] < milliseconds(bounds[-1])]
            if inside:
                self.periods[key] = len(active_in(inside, bounds))
                self.standing[key] = question.values(inside[0])


class Stickiness:
    """One series of a question: the range itself, and the one it is compared with."""

    def __init__(self, question: Question, number: int) -> None:
        self.cumulative = question.request.get("cumulative", False)
        self.current = Range(question, number, question.bounds(question.start, question.end))
        earlier = _earlier(question, self.current.bounds)
        self.compared = None if earlier is None else Range(question, number, earlier)
        self.groups = question.groups(self.current.standing.values())
        if "breakdown" in question.request and OTHER not in self.groups and self.compared is not None:
            others = [values for values in self.compared.standing.values() if values not in self.groups]
            self.groups += [OTHER] if others else []

    def keys(self, range_: Range, n: int, group: Group = None) -> set[Key]:
        """The keys of a group behind the count of n."""
        counts: Callable[[int], bool] = (lambda found: found >= n) if self.cumulative else (lambda found: found == n)
        return {
            key
            for key, found in range_.periods.items()
            if counts(found) and stands_in(range_.standing[key], group, self.groups)
        }

    def numbers(self, range_: Range, group: Group = None) -> list[int]:
        """Of each key of a group the number of periods."""
        return [found for key, found in range_.periods.items() if stands_in(range_.standing[key], group, self.groups)]


def _earlier(question: Question, bounds: list[datetime]) -> list[datetime] | None:
    if "compare" not in question.request:
        return None
    offset = question.request["compare"]["offset"]
    if offset == "previous":
        size = len(bounds) - 1
        return question.bounds(question.start, question.end, before=size)[: size + 1]
    amount, unit = parse_duration(offset[1:], "")
    start, end = (shifted(moment, -amount, unit, question.zone) for moment in (question.start, question.end))
    return question.bounds(start, end)
