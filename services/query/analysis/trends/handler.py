"""The operation `query.trends`: numbers over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from contracts.analysis import Breakdown
from contracts.errors import LimitExceeded
from contracts.trends import TrendsRequest
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis.delivery import delivered
from services.query.analysis.groups import Groups, Values
from services.query.analysis.trends import numbers, statements
from services.query.analysis.trends.answer import answer_of, table_of
from services.query.analysis.trends.line import Line
from services.query.analysis.trends.numbers import ByGroup
from services.query.analysis.trends.periods import Period
from services.query.analysis.trends.plan import Plan, settle
from services.query.resources import Resources

MAX_VALUES: Final = 500_000
MAX_VALUE_BYTES: Final = 4 * 1024 * 1024
"""Of the values of all groups that stay: each statement names them."""


async def trends(resources: Resources, request: TrendsRequest, context: RequestContext) -> Answer:
    """Answer `query.trends`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded: the answer would have too many values; or as DeadlineExceeded, Unavailable from the engine.
    """
    plan = await settle(resources, request, context)
    query = resources.query(context, plan.frame)
    kept = None if request.breakdown is None else await kept_groups(plan, request.breakdown, query)
    _check_size(plan, kept)
    found = [
        [await _numbers_of(line, period, kept, query, cumulative=request.cumulative) for line in plan.lines]
        for period in plan.periods
    ]
    result = answer_of(plan, kept, found, query.facts(plan.frame.as_of))
    return delivered(context, result, lambda: table_of(request, result), cache=plan.cache_policy(resources))


async def kept_groups(plan: Plan, breakdown: Breakdown, query: Query) -> Groups:
    """Return the groups that stay: the greatest by the first line, then the first that only others have.

    Raises:
        LimitExceeded: their values are too long.
    """
    first, *others = plan.lines
    kept = _values((await query.run(statements.ranked(first, plan.current, breakdown))).data)
    if others and len(kept) < breakdown.limit:
        more: set[Values] = set()
        for line in others:
            limit = breakdown.limit + len(kept)
            more |= set(_values((await query.run(statements.first_by_text(line, plan.current, breakdown, limit))).data))
        kept += sorted(more - set(kept), key=_by_text)[: breakdown.limit - len(kept)]
    if sum(len(value or b"") for values in kept for value in values) > MAX_VALUE_BYTES:
        raise LimitExceeded("the values of the groups are too long: break down by another field, or into fewer groups")
    return Groups(breakdown, tuple(kept))


def _by_text(values: Values) -> list[tuple[bool, bytes]]:
    return [(value is not None, value or b"") for value in values]


def _values(columns: Sequence[Sequence[bytes | None]]) -> list[Values]:
    return list(zip(*columns, strict=True))


def _check_size(plan: Plan, kept: Groups | None) -> None:
    lines = (len(plan.lines) + (plan.formula is not None)) * (1 if kept is None else len(kept.kept) + 1)
    size = lines * sum(period.size for period in plan.periods)
    if size > MAX_VALUES:
        raise LimitExceeded(
            f"the answer would have {size:,} values, more than {MAX_VALUES:,}: take longer intervals or fewer groups"
        )


async def _numbers_of(line: Line, period: Period, kept: Groups | None, query: Query, *, cumulative: bool) -> ByGroup:
    measure = line.series.measure
    days = line.days(period)
    if days is not None:
        rows = (await query.run(statements.rolling(line, period, days, kept))).rows()
        return numbers.of_rolling(rows, days.last, period.size)
    if measure in statements.QUANTILES:
        rows = (await query.run(statements.quantile(line, period, kept, cumulative=cumulative))).rows()
        return numbers.of_quantile(rows, period.size, cumulative=cumulative)
    if measure in statements.AGGREGATES:
        rows = (await query.run(statements.folded(line, period, kept))).rows()
        return numbers.of_folded(rows, measure, period.size, cumulative=cumulative)
    if measure == "per_actor":
        rows = (await query.run(statements.per_actor(line, period, kept))).rows()
        return numbers.of_per_actor(rows, period.size, cumulative=cumulative)
    rows = (await query.run(statements.distinct(line, period, kept))).rows()
    return numbers.of_distinct(rows, period.size, cumulative=cumulative)
