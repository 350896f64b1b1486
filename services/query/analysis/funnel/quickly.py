"""A funnel computed by the engine: the summaries of its groups, and who is behind a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from contracts.analysis import Group
from contracts.funnel import Seconds
from services.kit.statements import Query
from services.query.analysis.funnel import arrays
from services.query.analysis.funnel.arrays import OTHER, Arrays, depth_condition, value_condition
from services.query.analysis.funnel.number import OTHER_GROUP, Number, Ranking
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.summary import Summary, histogram
from services.query.analysis.funnel.values import group_of, order, pack

_WHOLE: Final = b""


async def summaries(query: Query, plan: Plan) -> list[tuple[Group | None, Summary]]:
    """Return the whole funnel, or its groups in the answer's order.

    Raises:
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    found = arrays.of(plan)
    groups: dict[bytes, Group | None] = {_WHOLE: None}
    if plan.request.breakdown is None:
        rows = list((await query.run(summary_sql(found))).rows())
    else:
        limit = plan.request.breakdown.limit
        rows = list((await query.run(summary_sql(found, limit=limit))).rows())
        shown = _ranked(rows)[:limit]
        groups = {value: group_of(value) for value in shown}
        if len(rows) > limit:
            # Only now it is known which values are folded, and what they are as one.
            found, groups[OTHER] = arrays.of(plan, shown), OTHER_GROUP
            rows = list((await query.run(summary_sql(found))).rows())
    figures = {value: figures for value, *figures in rows}
    summaries = {value: _summary(plan, figures.get(value)) for value in groups}
    if plan.bounds:
        numbers = {bound: number for number, bound in enumerate(plan.bounds[:-1])}
        for value, begins, *counts in (await query.run(trend_sql(found))).rows():
            if value in summaries:
                summaries[value].trend[numbers[begins]] = list(counts)
    return [(group, summaries[value]) for value, group in groups.items()]


async def rank(query: Query, plan: Plan) -> Ranking:
    """Return which values of a breakdown have a group.

    Raises:
        As `summaries`.
    """
    assert plan.request.breakdown is not None
    limit = plan.request.breakdown.limit
    ranked = _ranked(list((await query.run(rank_sql(Arrays(plan), limit))).rows()))
    return Ranking(ranked[:limit], folds=len(ranked) > limit)


def _ranked(rows: Sequence[tuple[Any, ...]]) -> tuple[bytes, ...]:
    """Return the values of rows (value, actors, …), greatest first, ties by the values."""
    return tuple(row[0] for row in sorted(rows, key=lambda row: (-row[1], order(row[0]))))


async def selection(query: Query, plan: Plan, number: Number) -> str:
    """Return a SELECT of the actors behind a number.

    Raises:
        As `summaries`.
    """
    shown, wanted = None, [_WHOLE]
    if number.group is not None:
        wanted = [pack(number.group.values)]
        if number.group.other:
            ranking = await rank(query, plan)
            shown, wanted = ranking.shown, [OTHER] if ranking.folds else []
    conditions = [depth_condition(number.step, dropped=number.dropped)]
    if plan.request.breakdown is not None:
        conditions.append(value_condition(wanted))
    found = Arrays(plan, shown)
    if number.interval is None:
        return f"SELECT actor FROM ({found.actors()}) WHERE {' AND '.join(conditions)}"
    conditions.append(f"begins = {plan.bounds[number.interval]}")
    return f"SELECT actor FROM ({found.attempts()}) WHERE {' AND '.join(conditions)}"


def rank_sql(found: Arrays, limit: int) -> str:
    """Return rows (value, actors): the greatest groups, one more than the limit, and all that tie with the last."""
    return f"SELECT value, count() FROM ({found.actors()}) GROUP BY value {_greatest(limit)}"


def _greatest(limit: int) -> str:
    return f"ORDER BY count() DESC LIMIT {limit + 1} WITH TIES"


def summary_sql(found: Arrays, *, limit: int | None = None) -> str:
    """Return a row for each value: it, the counts of the steps, with `times` for each step from 2 (sum, quantiles) of
    the milliseconds from the step before and from the first, and for a histogram all spans, ascending. `limit`: of the
    greatest groups only, one more than the limit, and all that tie with the last."""
    plan = found.plan
    steps = range(1, plan.rules.steps + 1)
    figures = [_count(step) for step in steps]
    if plan.request.times:
        for step in steps[1:]:
            for before in (step - 1, 1):
                span = f"t{step} - t{before}, depth >= {step}"
                figures += [f"sumIf({span})", f"quantilesExactInclusiveIf(0.5, 0.9)({span})"]
    convert = plan.request.time_to_convert
    if convert is not None:
        span = f"t{convert.to_step} - t{convert.from_step}, depth >= {convert.to_step}"
        figures.append(f"arraySort(groupArrayIf({span}))")
    cut = "" if limit is None else f" {_greatest(limit)}"
    return f"SELECT value, {', '.join(figures)} FROM ({found.actors()}) GROUP BY value{cut}"


def trend_sql(found: Arrays) -> str:
    """Return a row for each value and interval: them, and the counts of the steps."""
    counts = ", ".join(_count(step) for step in range(1, found.plan.rules.steps + 1))
    return f"SELECT value, begins, {counts} FROM ({found.attempts()}) GROUP BY value, begins"


def _count(step: int) -> str:
    return "count()" if step == 1 else f"countIf(depth >= {step})"


def _summary(plan: Plan, figures: Sequence[Any] | None) -> Summary:
    steps = plan.rules.steps
    summary = Summary.empty(steps, plan.intervals)
    if figures is None:
        return summary
    summary.counts = list(figures[:steps])
    if plan.request.times:
        for step in range(1, steps):
            at = steps + 4 * (step - 1)
            summary.previous[step] = _seconds(summary.counts[step], *figures[at : at + 2])
            summary.first[step] = _seconds(summary.counts[step], *figures[at + 2 : at + 4])
    if plan.request.time_to_convert is not None:
        summary.bins = histogram(figures[-1], plan.request.time_to_convert.bins)
    return summary


def _seconds(count: int, total: int, quantiles: Sequence[float]) -> Seconds | None:
    if not count:
        return None
    return Seconds(mean=total / count / 1000, median=quantiles[0] / 1000, p90=quantiles[1] / 1000)
