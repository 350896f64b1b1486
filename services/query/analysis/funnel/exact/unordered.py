"""Funnels in any order: how many steps distinct events serve within the window of an entry.

Sets of events that can serve distinct steps are a matroid: taking events as they come, each if it can still serve one,
gives the most steps at the smallest times. An exclusion makes some events compulsory: those that would break the chain.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

from services.query.analysis.funnel.exact.matching import Basis
from services.query.analysis.funnel.exact.rules import Chain, Event, Rules, Span, better


class Attempts:
    """The attempts of the events that carry one value of `holding`."""

    def __init__(self, rules: Rules, events: Sequence[Event], held: bytes) -> None:
        self._rules, self._events = rules, events
        self._indices = [
            index for index, event in enumerate(events) if event.held == held and (event.steps or event.exclusions)
        ]
        self._times = [events[index].time for index in self._indices]
        self._excluding = [index for index in self._indices if events[index].exclusions]
        self._excluded_at = [events[index].time for index in self._excluding]
        alike: dict[int, list[int]] = {}
        for index in self._indices:
            if events[index].steps:
                alike.setdefault(events[index].steps, []).append(index)
        self._alike = [(steps.bit_count(), indices) for steps, indices in alike.items()]
        most = Basis()
        for steps in (steps for steps, indices in alike.items() for _ in indices[: rules.steps]):
            most.add(steps)
        self._most = len(most)

    def best(self, entries: Span) -> Chain | None:
        """Return the deciding chain of entries within a span."""
        found: Chain | None = None
        first = bisect_left(self._times, entries[0])
        previous = None
        for index in self._indices[first : bisect_left(self._times, entries[1])]:
            event = self._events[index]
            # Entries of one time differ only in what exclusions leave them.
            if not event.steps or (event.time == previous and not self._excluding):
                continue
            if found is not None and found.worth == self._most and event.time > found.times[0]:
                break
            previous = event.time
            found = better(found, self._attempt(index))
        return found

    def _attempt(self, entry: int) -> Chain | None:
        rules, time = self._rules, self._events[entry].time
        until = time + rules.window
        full = self._greedy(self._soonest(entry, until), ())
        excluding = self._excluding[bisect_right(self._excluded_at, time) : bisect_right(self._excluded_at, until)]
        if not excluding:
            return self._chain(full)
        if rules.disqualify:
            over = until + 1 if len(full) < rules.steps else self._events[full[-1]].time
            depth = len(full)
        else:
            limit = self._limit(entry, excluding)
            depth = sum(limit is None or self._events[index].time <= limit for index in full)
            over = self._events[full[depth - 1]].time
        compulsory = [entry, *(index for index in excluding if self._events[index].time < over)]
        basis = Basis()
        if not all(basis.add(self._events[index].steps) for index in compulsory):
            return None
        # The entry is the first event of its chain, by place too.
        window = self._indices[bisect_right(self._indices, entry) : bisect_right(self._times, until)]
        return self._chain(self._greedy(window, compulsory)[:depth])

    def _limit(self, entry: int, excluding: Iterable[int]) -> int | None:
        """Return the time beyond which no chain from the entry can reach: not all that would break it can serve."""
        basis = Basis()
        basis.add(self._events[entry].steps)
        for index in excluding:
            if not basis.add(self._events[index].steps):
                return self._events[index].time
        return None

    def _greedy(self, indices: Iterable[int], compulsory: Sequence[int]) -> list[int]:
        """Return the first events that can be served together with the compulsory ones, in order."""
        basis = Basis()
        found = list(compulsory)
        for index in compulsory:
            basis.add(self._events[index].steps)
        for index in indices:
            if index not in compulsory and basis.add(self._events[index].steps):
                found.append(index)
                if len(basis) == self._rules.steps:
                    break
        return sorted(found)

    def _soonest(self, entry: int, until: int) -> Iterator[int]:
        """Return the events of the window that may count, in order: of those that serve the same steps only as many as
        there are steps."""
        beyond = bisect_right(self._times, until)
        last = self._indices[beyond] if beyond < len(self._indices) else len(self._events)
        return merge(*(self._within(indices, count, entry, last) for count, indices in self._alike))

    @staticmethod
    def _within(indices: Sequence[int], count: int, first: int, last: int) -> Sequence[int]:
        start = bisect_left(indices, first)
        return indices[start : min(start + count, bisect_left(indices, last))]

    def _chain(self, members: Sequence[int]) -> Chain:
        times = tuple(self._events[index].time for index in members)
        named = tuple(members) if self._rules.named else ()
        return Chain(len(members), times, tuple(range(1, len(members) + 1)), named)
