"""What the events of one timestamp can do for a chain: serve a run of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from services.query.analysis.funnel.exact.matching import bits, independent, servable
from services.query.analysis.funnel.exact.rules import Rules

Pattern: TypeAlias = tuple[tuple[int, int], ...]
"""The events of one timestamp: (steps, exclusions) of each, in bits."""


class Run(NamedTuple):
    """From having reached step `start` (0: before an entry) to step `end`, serving `steps`, so many of them `optional`.
    `goes`: the chain may go on at a later timestamp, for all events that would break it then are the run's own."""

    start: int
    end: int
    steps: tuple[int, ...]
    optional: int
    goes: bool


class Runs:
    """All runs of a pattern, kept by pattern: most timestamps look like many others."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._kept: dict[Pattern, tuple[Run, ...]] = {}

    def of(self, events: Sequence[tuple[int, int]]) -> tuple[Run, ...]:
        """Return the runs that events of one timestamp, (steps, exclusions) in bits, can serve."""
        pattern = tuple(sorted(events)) if len(events) > 1 else tuple(events)
        found = self._kept.get(pattern)
        if found is None:
            found = self._kept[pattern] = tuple(self._find(pattern))
        return found

    def entered_by(self, entry: int, events: Sequence[tuple[int, int]]) -> tuple[Run, ...]:
        """Return the runs that begin with one certain event as the entry."""
        rest = self.of([event for number, event in enumerate(events) if number != entry])
        return (
            Run(0, 1, (1,), 0, True),
            *(Run(0, run.end, (1, *run.steps), run.optional, True) for run in rest if run.start == 1),
        )

    def _find(self, pattern: Pattern) -> list[Run]:
        rules, found = self._rules, []
        events = [steps for steps, _ in pattern if steps]
        for start in range(rules.steps):
            for end in range(start + 1, rules.steps + 1):
                between = range(start + 1, end)
                needed = [step for step in between if step not in rules.optional] + [end]
                if not servable(needed, events):
                    if not rules.optional:
                        break  # a longer run would need these as well
                    continue
                goes = self._covered(pattern, start, end)
                found.append(Run(start, end, tuple(needed), end in rules.optional, goes))
                count = int(end in rules.optional)
                for step in between:
                    # Taken in order of their numbers, each further one gives the smallest steps of that length.
                    if step in rules.optional and servable([*needed, step], events):
                        needed.append(step)
                        count += 1
                        found.append(Run(start, end, tuple(sorted(needed)), count, goes))
        return found

    def _covered(self, pattern: Pattern, start: int, end: int) -> bool:
        """Tell whether every exclusion that began before these events and lasts beyond them is met by the run itself.

        A matching of all its steps and one of all those events imply one of both (Mendelsohn and Dulmage).
        """
        lasting = bits(
            number for number, (first, last) in enumerate(self._rules.exclusions, 1) if first <= start and end < last
        )
        run = bits(range(start + 1, end + 1))
        return independent(steps & run for steps, exclusions in pattern if exclusions & lasting)
