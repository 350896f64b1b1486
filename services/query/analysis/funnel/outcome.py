"""What one actor comes to in a funnel, computed exactly from its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from services.query.analysis.funnel.exact.rules import Chain, Event
from services.query.analysis.funnel.exact.story import Judge, Story
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.values import pack

Key: TypeAlias = int | bytes
"""An actor's key: of an actor, or a text."""
WHOLE = b""
"""The group of a funnel without a breakdown."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An actor under one value (packed). `chain`: None when it is not in the funnel. `trend`: the deciding chain of
    each interval in which it has one."""

    actor: Key
    value: bytes
    chain: Chain | None
    trend: Sequence[tuple[int, Chain]] = ()


class Evaluation:
    """Judges actors. `shown`: of `all_events`, the values that have a group; all others are folded into one, and only
    that is judged. `trends`: with the chains of each interval."""

    def __init__(self, plan: Plan, *, shown: Collection[bytes] | None = None, trends: bool = True) -> None:
        self._plan, self._judge, self._shown = plan, Judge(plan.rules), shown
        self._trends = trends and bool(plan.bounds)
        breakdown = plan.request.breakdown
        self._attribution = None if breakdown is None else breakdown.attribution
        self._step = 0 if breakdown is None or breakdown.step is None else breakdown.step
        self._absent = b"" if breakdown is None else pack([None] * len(breakdown.by))

    def of(self, actor: Key, events: Sequence[Event], values: Sequence[bytes]) -> Iterator[Outcome]:
        """Return the outcomes of an actor: one, but for `all_events` one for each value. `values`: of each event."""
        if self._attribution == "all_events":
            yield from self._all_events(actor, events, values)
            return
        story = self._judge.story(events)
        chain = story.decide(self._plan.entries)
        value = self._value(events, values, chain)
        if value is not None:
            yield Outcome(actor, value, chain, self._trend(story, events))

    def _all_events(self, actor: Key, events: Sequence[Event], values: Sequence[bytes]) -> Iterator[Outcome]:
        apart: dict[bytes, list[Event]] = {}
        for event, value in zip(events, values, strict=True):
            if self._shown is None:
                apart.setdefault(value, []).append(event)
            elif value not in self._shown:
                apart.setdefault(WHOLE, []).append(event)
        for value, own in apart.items():
            story = self._judge.story(own)
            yield Outcome(actor, value, story.decide(self._plan.entries), self._trend(story, own))

    def _value(self, events: Sequence[Event], values: Sequence[bytes], chain: Chain | None) -> bytes | None:
        """Return the value under which an actor stands, None when it is left out."""
        if self._attribution is None:
            return WHOLE
        if self._attribution == "step":
            if chain is None or self._step not in chain.steps:
                return None
            return values[chain.members[chain.steps.index(self._step)]]
        pairs = zip(events, values, strict=True)
        having = [value for event, value in pairs if event.steps and event.held is not None and value != self._absent]
        if not having:
            return self._absent
        return having[0] if self._attribution == "first_touch" else having[-1]

    def _trend(self, story: Story, events: Sequence[Event]) -> Sequence[tuple[int, Chain]]:
        if not self._trends:
            return ()
        plan = self._plan
        start, end = plan.entries
        entering = (1 << plan.rules.steps) - 1 if plan.rules.order == "any" else 1
        numbers = {
            plan.interval_of(event.time) for event in events if event.steps & entering and start <= event.time < end
        }
        found = []
        for number in sorted(numbers):
            chain = story.decide(plan.interval(number))
            if chain is not None:
                found.append((number, chain))
        return found
