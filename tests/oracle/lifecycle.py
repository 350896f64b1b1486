"""Life cycles by the definition (docs/lifecycle.md)."""

from __future__ import annotations

from tests.oracle.activity import Group, Question, Values, active_in, stands_in
from tests.oracle.series import Key

STATES = ("new", "returning", "resurrecting", "dormant")


class Lifecycle:
    """The state of each key in each period, of one series of a question."""

    def __init__(self, question: Question, number: int) -> None:
        wide = question.bounds(question.start, question.end, before=1)
        self.bounds = wide[1:]
        self.states: dict[Key, dict[int, str]] = {}
        self.standing: dict[Key, Values | None] = {}
        for key, events in question.histories(number).items():
            active = active_in(events, wide)
            first = min(active_in(events[:1], wide), default=None)
            states = {}
            for row in range(len(self.bounds) - 1):
                now, before = row + 1 in active, row in active
                if now and first == row + 1:
                    states[row] = "new"
                elif now and before:
                    states[row] = "returning"
                elif now:
                    states[row] = "resurrecting"
                elif before:
                    states[row] = "dormant"
            if states:
                self.states[key] = states
                self.standing[key] = question.values(events[0])
        self.groups = question.groups(self.standing.values())

    def keys(self, row: int, state: str, group: Group = None) -> set[Key]:
        """The keys of a group that are in a state in a row."""
        return {
            key
            for key, states in self.states.items()
            if states.get(row) == state and stands_in(self.standing[key], group, self.groups)
        }
