"""An actor's events as moments: one for each timestamp at which something can happen to a chain."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from services.query.analysis.funnel.exact.rules import Event
from services.query.analysis.funnel.exact.runs import Run, Runs


@dataclass(slots=True)
class Moments:
    """Lists of equal length, in order of time. `places`: the number of the timestamp among all of the actor's, other
    events included; `blocks`: exclusions that an event then means (bits); `members`: its events, by index."""

    times: list[int]
    places: list[int]
    runs: list[tuple[Run, ...]]
    blocks: list[int]
    members: list[list[int]]

    def between(self, start: int, end: int) -> Moments:
        """Return the moments with start ≤ time < end."""
        first, last = bisect_left(self.times, start), bisect_left(self.times, end)
        if first == 0 and last == len(self.times):
            return self
        return Moments(
            self.times[first:last],
            self.places[first:last],
            self.runs[first:last],
            self.blocks[first:last],
            self.members[first:last],
        )


def moments(events: Sequence[Event], runs: Runs, held: bytes) -> Moments:
    """Return the moments of the events that carry `held`; events ascend in time."""
    found = Moments([], [], [], [], [])
    for place, (time, group) in enumerate(groupby(range(len(events)), lambda index: events[index].time)):
        members = [
            index for index in group if (events[index].steps or events[index].exclusions) and events[index].held == held
        ]
        if not members:
            continue
        found.times.append(time)
        found.places.append(place)
        found.runs.append(runs.of([(events[index].steps, events[index].exclusions) for index in members]))
        block = 0
        for index in members:
            block |= events[index].exclusions
        found.blocks.append(block)
        found.members.append(members)
    return found
