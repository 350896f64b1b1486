"""An actor's events as moments: one for each timestamp at which something can happen to a chain."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

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
    place, previous = -1, None
    for index, (time, steps, exclusions, own) in enumerate(events):
        if time != previous:
            place, previous = place + 1, time
        if own != held or not (steps or exclusions):
            continue
        if found.places and found.places[-1] == place:
            found.members[-1].append(index)
            found.blocks[-1] |= exclusions
            continue
        found.times.append(time)
        found.places.append(place)
        found.blocks.append(exclusions)
        found.members.append([index])
    found.runs = [runs.of([events[index][1:3] for index in members]) for members in found.members]
    return found
