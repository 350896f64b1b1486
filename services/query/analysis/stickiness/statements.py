"""The statements of a series' stickiness: pure, request → SQL."""

from __future__ import annotations

from services.query.analysis.activity.plan import Plan, Span
from services.query.analysis.activity.sets import of_keys
from services.query.analysis.groups import Groups


def counts_sql(plan: Plan, series: int, span: Span, groups: Groups | None) -> str:
    """Return rows of (group, n, keys active in exactly n periods); without groups all keys are of group 0."""
    group = "toUInt16(0) AS g" if groups is None else "g"
    keys = of_keys(plan, series, span, held=None if groups is None else groups.number)
    return f"SELECT {group}, length(periods) AS n, count() FROM ({keys}) GROUP BY g, n"


def actors_sql(
    plan: Plan, series: int, span: Span, periods: int, chosen: tuple[Groups, int] | None, *, or_more: bool
) -> str:
    """Return the keys (`actor`) that are active in so many periods (`or_more`: or more), of one group if one is
    chosen."""
    keys = of_keys(plan, series, span, held=None if chosen is None else chosen[0].number)
    of_group = "" if chosen is None else f" AND g = {chosen[1]}"
    return f"SELECT actor FROM ({keys}) WHERE length(periods) {'>=' if or_more else '='} {periods}{of_group}"
