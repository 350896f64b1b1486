"""Which groups of a breakdown a series has."""

from __future__ import annotations

from contracts.analysis import Group
from services.kit.statements import Query
from services.query.analysis.activity.plan import Plan, Span
from services.query.analysis.activity.sets import of_keys
from services.query.analysis.breakdown import values
from services.query.analysis.groups import Groups, values_of


async def ranked(query: Query, plan: Plan, series: int, span: Span, *, history: bool) -> tuple[Groups, bool]:
    """Return the groups that stay, those with most keys first, and whether there are others.

    `span`, `history`: which events are read, as in `of_keys`.

    Raises:
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    breakdown = plan.request.breakdown
    assert breakdown is not None
    if span.size == 0:
        return Groups(breakdown, ()), False
    rows = list((await query.run(ranking_sql(plan, series, span, history=history))).rows())
    return Groups(breakdown, tuple(row[1:] for row in rows[: breakdown.limit])), len(rows) > breakdown.limit


async def chosen(
    query: Query, plan: Plan, series: int, span: Span, group: Group, *, history: bool
) -> tuple[Groups, int]:
    """Return groups, and the number that one (see Plan.check_group) has among them."""
    breakdown = plan.request.breakdown
    assert breakdown is not None
    if not group.other:
        return Groups(breakdown, (values_of(group),)), 0
    groups, _ = await ranked(query, plan, series, span, history=history)
    return groups, groups.other


def ranking_sql(plan: Plan, series: int, span: Span, *, history: bool) -> str:
    """Return rows of (keys, values…), the greatest first, one more than the limit."""
    breakdown = plan.request.breakdown
    assert breakdown is not None
    keys = of_keys(
        plan,
        series,
        span,
        held=lambda scope: f"tuple({', '.join(values(breakdown, scope))})",
        history=history,
    )
    parts = [f"g.{number}" for number in range(1, len(breakdown.by) + 1)]
    order = ", ".join(f"{part} ASC NULLS FIRST" for part in parts)
    return (
        f"SELECT count() AS size, {', '.join(parts)} FROM ({keys}) WHERE notEmpty(periods) "
        f"GROUP BY {', '.join(parts)} ORDER BY size DESC, {order} LIMIT {breakdown.limit + 1}"
    )
