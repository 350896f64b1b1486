"""An actor's events, ready to be asked for the chain that decides."""

from __future__ import annotations

from collections.abc import Sequence

from services.query.analysis.funnel.exact.members import members_of
from services.query.analysis.funnel.exact.moments import Moments, moments
from services.query.analysis.funnel.exact.ordered import Search, Walk
from services.query.analysis.funnel.exact.rules import Chain, Event, Rules, Span, better
from services.query.analysis.funnel.exact.runs import Runs
from services.query.analysis.funnel.exact.states import States
from services.query.analysis.funnel.exact.unordered import Attempts


class Judge:
    """The rules of one request and what is worked out from them once."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.runs = Runs(rules)
        self.states = States(rules)

    def story(self, events: Sequence[Event]) -> Story:
        """Return an actor's story. `events`: those of the funnel, in the order (timestamp, message_id, table)."""
        return Story(self, events)


class Story:
    """What one actor did; may be asked for several spans of entries."""

    def __init__(self, judge: Judge, events: Sequence[Event]) -> None:
        self._judge, self._events = judge, events
        entering = (1 << judge.rules.steps) - 1 if judge.rules.order == "any" else 1
        values = {event.held for event in events if event.steps & entering and event.held is not None}
        self._attempts: list[Attempts] = []
        self._moments: list[Moments] = []
        for held in sorted(values):
            if judge.rules.order == "any":
                self._attempts.append(Attempts(judge.rules, events, held))
            else:
                self._moments.append(moments(events, judge.runs, held))

    def decide(self, entries: Span) -> Chain | None:
        """Return the deciding chain of the entries within a span; None when the actor is not in the funnel."""
        best: Chain | None = None
        for attempts in self._attempts:
            best = better(best, attempts.best(entries))
        dirty = 0
        for one in self._moments:
            near = one.between(entries[0], entries[1] + self._judge.rules.window)
            if self._judge.rules.disqualify and any(near.blocks):
                chain, worst = self._qualified(near, entries)
                dirty = max(dirty, worst)
            else:
                chain = self._deepest(near, entries)
            best = better(best, chain)
        return None if best is not None and best.worth < dirty else best

    def _deepest(self, near: Moments, entries: Span) -> Chain | None:
        search = Search(self._judge.rules, self._judge.states, near)
        worth = search.worth(entries)
        walk = search.first(worth, entries) if worth else None
        return None if walk is None else self._chain(walk, near)

    def _qualified(self, near: Moments, entries: Span) -> tuple[Chain | None, int]:
        """Return the deciding chain of the clean entries, and the worth of the deepest dirty one."""
        best: Chain | None = None
        dirty = 0
        for index, time in enumerate(near.times):
            if not entries[0] <= time < entries[1]:
                continue
            members = near.members[index]
            events = [(self._events[member].steps, self._events[member].exclusions) for member in members]
            for number, (steps, _) in enumerate(events):
                # Of entries that are alike, the first has the first chain.
                if not steps & 1 or events.index(events[number]) < number:
                    continue
                from_here = self._entered(near, index, number, events)
                chain, worth = self._entry(from_here, members[number])
                dirty = max(dirty, 0 if chain else worth)
                best = better(best, chain)
        return best, dirty

    def _entered(self, near: Moments, index: int, number: int, events: Sequence[tuple[int, int]]) -> Moments:
        time = near.times[index]
        found = near.between(time, time + self._judge.rules.window + 1)
        runs = [self._judge.runs.entered_by(number, events), *found.runs[1:]]
        return Moments(found.times, found.places, runs, found.blocks, found.members)

    def _entry(self, from_here: Moments, entry: int) -> tuple[Chain | None, int]:
        """Return the chain that decides for one entry, None when it is dirty, and the worth of its full depth."""
        rules, states = self._judge.rules, self._judge.states
        time = from_here.times[0]
        alone = (time, time + 1)
        worth = Search(rules, states, from_here, excluding=False).worth(alone)
        walk = Search(rules, states, from_here, until=time + rules.window).first(worth, alone)
        return (None if walk is None else self._chain(walk, from_here, entry)), worth

    def _chain(self, walk: Walk, near: Moments, entry: int | None = None) -> Chain:
        rules = self._judge.rules
        members = members_of(walk, near, self._events, rules, entry=entry) if rules.named else ()
        return Chain(walk.worth, walk.times, walk.steps, members)
