"""Ordered and strict funnels: the deciding chain in three passes over an actor's moments.

Forward, keeping for each state the latest entry that leads there, tells the greatest worth. Backward, keeping for each
state the soonest end of a chain of that worth, tells which entries lead to it within the window. From the earliest of
them one more walk takes at every moment all steps that still leave it within reach: the smallest times. Each pass is
linear in the moments; one moment costs what its runs do.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.query.analysis.funnel.exact.moments import Moments
from services.query.analysis.funnel.exact.rules import Rules, Span
from services.query.analysis.funnel.exact.runs import Run
from services.query.analysis.funnel.exact.states import ALWAYS, NEVER, States


@dataclass(frozen=True, slots=True)
class Walk:
    """A chain before its members are named: for each moment it visits, the moment's index and the run it serves."""

    worth: int
    times: tuple[int, ...]
    steps: tuple[int, ...]
    visits: tuple[tuple[int, tuple[int, ...]], ...]


class Search:
    """Chains over some moments. `excluding`: exclusions break chains; `until`: and a chain must also not be followed by
    one that means it, up to that time."""

    def __init__(
        self, rules: Rules, states: States, moments: Moments, *, excluding: bool = True, until: int | None = None
    ) -> None:
        self._rules, self._states, self._moments = rules, states, moments
        self._excluding = excluding and bool(rules.exclusions)
        self._until = until
        self._followers: dict[int, int] = {}
        self._strict = rules.order == "strict"

    def worth(self, entries: Span) -> int:
        """Return the greatest worth of a chain whose entry lies in `entries`, 0 when there is none."""
        moments, width, worth = self._moments, self._states.width, self._states.worth
        latest = [NEVER] * self._states.count
        best, place = 0, -1
        for index, time in enumerate(moments.times):
            if self._strict:
                if moments.places[index] != place + 1:
                    latest = [NEVER] * self._states.count
                place = moments.places[index]
            oldest = time - self._rules.window
            enters = entries[0] <= time < entries[1]
            reached: list[tuple[int, int]] = []
            for run in moments.runs[index]:
                if run.start == 0:
                    starts = [time] if enters else []
                else:
                    starts = latest[run.start * width : (run.start + 1) * width]
                for optional, start in enumerate(starts):
                    if start >= oldest:
                        state = run.end * width + optional + run.optional
                        best = max(best, worth[state])
                        if run.goes or not self._excluding:
                            reached.append((state, start))
            self._leave(latest, index, NEVER)
            for state, start in reached:
                latest[state] = max(latest[state], start)
        return best

    def first(self, worth: int, entries: Span) -> Walk | None:
        """Return the chain of that worth whose entry lies in `entries` that decides, if there is one."""
        after, entry = self._backward(worth, entries)
        return None if entry is None else self._forward(worth, entry, after)

    def _leave(self, kept: list[int], index: int, nothing: int) -> None:
        """Forget the chains that cannot pass a moment without a visit."""
        if self._strict:
            kept[:] = [nothing] * len(kept)
        elif self._excluding and self._moments.blocks[index]:
            for state in self._states.blocked[self._moments.blocks[index]]:
                kept[state] = nothing

    def _ends(self, run: Run, state: int, index: int) -> bool:
        """Tell whether a chain may end with this run."""
        if self._until is None:
            return True
        if state not in self._followers:
            self._followers[state] = self._last_follower(state, self._until)
        return run.goes and index >= self._followers[state]

    def _last_follower(self, state: int, until: int) -> int:
        """Return the last moment up to a time at which an event would follow a chain that ends in a state."""
        moments, blocked = self._moments, self._states.blocked
        return max(
            (
                index
                for index, block in enumerate(moments.blocks)
                if block and state in blocked[block] and moments.times[index] <= until
            ),
            default=-1,
        )

    def _backward(self, worth: int, entries: Span) -> tuple[list[list[int]], int | None]:
        """Return for every moment and state the soonest end when going on after it, and the earliest moment from which
        the end is within the window."""
        moments, width = self._moments, self._states.width
        soonest = [ALWAYS] * self._states.count
        after: list[list[int]] = [soonest] * len(moments.times)
        earliest, place = None, -2
        for index in range(len(moments.times) - 1, -1, -1):
            if self._strict:
                if moments.places[index] != place - 1:
                    soonest = [ALWAYS] * self._states.count
                place = moments.places[index]
            after[index] = following = soonest
            soonest = following.copy()
            self._leave(soonest, index, ALWAYS)
            for run in moments.runs[index]:
                for optional in range(width - run.optional if run.start else 1):
                    end = self._end(run, run.end * width + optional + run.optional, index, worth, following)
                    state = run.start * width + optional
                    soonest[state] = min(soonest[state], end)
            time = moments.times[index]
            if entries[0] <= time < entries[1] and soonest[0] - time <= self._rules.window:
                earliest = index
            soonest[0] = ALWAYS
        return after, earliest

    def _end(self, run: Run, state: int, index: int, worth: int, following: list[int]) -> int:
        """Return the soonest end of a chain that takes this run to a state."""
        if self._states.worth[state] == worth and self._ends(run, state, index):
            return self._moments.times[index]
        return following[state] if run.goes or not self._excluding else ALWAYS

    def _forward(self, worth: int, entry: int, after: list[list[int]]) -> Walk:
        """Walk from an entry, at each moment along the longest runs from which the end is within the window."""
        moments, width = self._moments, self._states.width
        deadline = moments.times[entry] + self._rules.window
        ways: dict[int, tuple[tuple[int, tuple[int, ...]], ...]] = {0: ()}
        times: tuple[int, ...] = ()
        for index in range(entry, len(moments.times)):
            taken = []
            for run in moments.runs[index]:
                for state, way in ways.items():
                    if state // width == run.start:
                        target = run.end * width + state % width + run.optional
                        if self._end(run, target, index, worth, after[index]) <= deadline:
                            taken.append((target, (*way, (index, run.steps))))
            if not taken:
                continue
            longest = max(len(way[-1][1]) for _, way in taken)
            ways = {}
            for target, way in taken:
                if len(way[-1][1]) == longest and (target not in ways or _steps(way) < _steps(ways[target])):
                    ways[target] = way
            times += (moments.times[index],) * longest
            done = [way for state, way in ways.items() if self._states.worth[state] == worth]
            if done:
                way = min(done, key=_steps)
                return Walk(worth, times, _steps(way), way)
        raise AssertionError("the entry leads to no end")


def _steps(way: tuple[tuple[int, tuple[int, ...]], ...]) -> tuple[int, ...]:
    return tuple(step for _, steps in way for step in steps)
