"""A funnel computed from every actor's events: the summaries of its groups, and who is behind a number."""

from __future__ import annotations

from typing import Final

from contracts.analysis import Group
from contracts.errors import LimitExceeded
from services.kit.statements import Query
from services.query.analysis.funnel import untied
from services.query.analysis.funnel.answer import previous
from services.query.analysis.funnel.arrays import depth_condition
from services.query.analysis.funnel.number import OTHER_GROUP, Number, Ranking
from services.query.analysis.funnel.outcome import WHOLE, Evaluation, Key, Outcome
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.reading import outcomes
from services.query.analysis.funnel.summary import Summary
from services.query.analysis.funnel.tally import Tally
from services.query.analysis.funnel.values import group_of, order, pack

MAX_VALUES: Final = 1_000_000


async def summaries(query: Query, plan: Plan) -> list[tuple[Group | None, Summary]]:
    """Return the whole funnel, or its groups in the answer's order.

    Raises:
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine, or too many values to break down by.
    """
    if untied.suits(plan.request):
        return [(None, await _counts_of_all(query, plan))]
    if plan.request.breakdown is None:
        whole = Tally(plan)
        async for found in outcomes(query, plan, Evaluation(plan)):
            for outcome in found:
                whole.add(outcome)
        return [(None, whole.summary())]
    ranking = await rank(query, plan)
    tallies = {value: Tally(plan) for value in ranking.shown}
    other = Tally(plan)
    folds = plan.request.breakdown.attribution != "all_events"
    async for found in outcomes(query, plan, Evaluation(plan)):
        for outcome in found:
            if outcome.value in tallies:
                tallies[outcome.value].add(outcome)
            elif folds and outcome.value in ranking.folded:
                other.add(outcome)
    groups: list[tuple[Group | None, Summary]] = [
        (group_of(value), tally.summary()) for value, tally in tallies.items()
    ]
    if not ranking.folds:
        return groups
    if not folds:
        async for found in outcomes(query, plan, Evaluation(plan, shown=ranking.shown)):
            for outcome in found:
                other.add(outcome)
    return [*groups, (OTHER_GROUP, other.summary())]


async def _counts_of_all(query: Query, plan: Plan) -> Summary:
    """Return counts for which only actors with simultaneous events must be judged one by one."""
    ((tied, *counts),) = (await query.run(untied.counts_sql(plan))).rows()
    tally = Tally(plan)
    if tied:
        async for found in outcomes(query, plan, Evaluation(plan), only=untied.tied_sql(plan)):
            for outcome in found:
                tally.add(outcome)
    summary = tally.summary()
    summary.counts = [one + other for one, other in zip(summary.counts, counts, strict=True)]
    return summary


async def rank(query: Query, plan: Plan) -> Ranking:
    """Return which values of a breakdown have a group.

    Raises:
        As `summaries`.
    """
    assert plan.request.breakdown is not None
    entered: dict[bytes, int] = {}
    async for found in outcomes(query, plan, Evaluation(plan, trends=False)):
        for outcome in found:
            if outcome.chain is not None:
                entered[outcome.value] = entered.get(outcome.value, 0) + 1
        if len(entered) > MAX_VALUES:
            raise LimitExceeded(f"the breakdown has over {MAX_VALUES} values: take buckets, or a field with fewer")
    ranked = sorted(entered, key=lambda value: (-entered[value], order(value)))
    limit = plan.request.breakdown.limit
    return Ranking(tuple(ranked[:limit]), len(ranked) > limit, frozenset(ranked[limit:]))


async def behind(query: Query, plan: Plan, number: Number) -> list[Key]:
    """Return the actors behind a number, ascending.

    Raises:
        As `summaries`.
    """
    evaluation = Evaluation(plan, trends=number.interval is not None)
    found: set[Key] = set()
    only = ""
    if untied.suits(plan.request):
        condition = depth_condition(number.step, dropped=number.dropped)
        found.update((await query.run(untied.untied_sql(plan, condition))).data[0])
        only = untied.tied_sql(plan)
    wanted: frozenset[bytes] | set[bytes] = {WHOLE}
    if number.group is not None:
        wanted = {pack(number.group.values)}
        if number.group.other:
            ranking = await rank(query, plan)
            wanted = ranking.folded
            assert plan.request.breakdown is not None
            if ranking.folds and plan.request.breakdown.attribution == "all_events":
                wanted = {WHOLE}
                evaluation = Evaluation(plan, shown=ranking.shown, trends=number.interval is not None)
    async for some in outcomes(query, plan, evaluation, only=only):
        found.update(outcome.actor for outcome in some if outcome.value in wanted and _counts(plan, outcome, number))
    return sorted(found)


def _counts(plan: Plan, outcome: Outcome, number: Number) -> bool:
    """Tell whether an actor is one of a number."""
    chain = outcome.chain if number.interval is None else dict(outcome.trend).get(number.interval)
    if chain is None:
        return False
    if not number.dropped:
        return number.step in chain.steps
    before = previous(plan.rules, number.step)
    return before in chain.steps and number.step not in chain.steps
