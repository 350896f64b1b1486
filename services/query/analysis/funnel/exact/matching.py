"""Which steps can be served by distinct events: bipartite matching by augmenting paths, at most 20 steps wide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Basis:
    """A growing set of events that serve as many steps, one each: a basis of a transversal matroid, so that offering
    the events in some order keeps the first ones of that order that any such set can have."""

    __slots__ = ("_served",)

    def __init__(self) -> None:
        self._served: dict[int, int] = {}  # bit of a step → steps of the event that serves it

    def __len__(self) -> int:
        return len(self._served)

    def add(self, steps: int) -> bool:
        """Take an event that serves these steps (bits), if there is a step for everyone then."""
        return self._place(steps, [0])

    def _place(self, steps: int, seen: list[int]) -> bool:
        while rest := steps & ~seen[0]:
            bit = rest & -rest
            seen[0] |= bit
            other = self._served.get(bit)
            if other is None or self._place(other, seen):
                self._served[bit] = steps
                return True
        return False


def independent(events: Iterable[int]) -> bool:
    """Tell whether events, each given by the steps it serves (bits), can serve distinct steps, all of them."""
    basis = Basis()
    return all(basis.add(steps) for steps in events)


def servable(steps: Iterable[int], events: Sequence[int]) -> bool:
    """Tell whether distinct events, given by the steps they serve (bits), can serve all these steps (from 1)."""
    wanted = []
    for step in steps:
        serving = 0
        for number, event in enumerate(events):
            if event >> (step - 1) & 1:
                serving |= 1 << number
        wanted.append(serving)
    return independent(wanted)


def bits(steps: Iterable[int]) -> int:
    """Return steps (from 1) as bits (from 0)."""
    return sum(1 << (step - 1) for step in steps)
