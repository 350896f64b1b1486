"""Outcomes of actors, added up."""

from __future__ import annotations

from array import array

from services.query.analysis.funnel.exact.rules import Chain
from services.query.analysis.funnel.outcome import Outcome
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.summary import Summary, histogram, seconds


class Tally:
    """One funnel: the whole, or one group."""

    def __init__(self, plan: Plan) -> None:
        steps = plan.rules.steps
        self._plan = plan
        self._counts = [0] * steps
        self._previous = [array("q") for _ in range(steps)]
        self._first = [array("q") for _ in range(steps)]
        self._trend = [[0] * steps for _ in range(plan.intervals)]
        self._converted = array("q")

    def add(self, outcome: Outcome) -> None:
        """Count an actor."""
        for number, chain in outcome.trend:
            for step in chain.steps:
                self._trend[number][step - 1] += 1
        if outcome.chain is None:
            return
        for step in outcome.chain.steps:
            self._counts[step - 1] += 1
        if self._plan.request.times:
            self._time(outcome.chain)
        convert = self._plan.request.time_to_convert
        if convert is not None:
            at = dict(zip(outcome.chain.steps, outcome.chain.times, strict=True))
            if convert.from_step in at and convert.to_step in at:
                self._converted.append(at[convert.to_step] - at[convert.from_step])

    def _time(self, chain: Chain) -> None:
        first = before = chain.times[0]
        for step, time in zip(chain.steps[1:], chain.times[1:], strict=True):
            self._previous[step - 1].append(time - before)
            self._first[step - 1].append(time - first)
            if step not in self._plan.rules.optional:
                before = time

    def summary(self) -> Summary:
        """Return what the answer says of it."""
        convert = self._plan.request.time_to_convert
        return Summary(
            counts=self._counts,
            previous=[seconds(sorted(spans)) for spans in self._previous],
            first=[seconds(sorted(spans)) for spans in self._first],
            trend=self._trend,
            bins=histogram(sorted(self._converted), None if convert is None else convert.bins),
        )
