"""The events that retention reads, and the parts of them that answers are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from contracts.analysis import Series
from services.kit import sql
from services.kit.predicates import Scope, compile_field
from services.query.analysis.breakdown import values
from services.query.analysis.retention.plan import Plan
from services.query.analysis.source import RANK, Column, Source, asked_of_all

_NEVER: Final = 65_535
"""No period's number."""


def source_of(
    plan: Plan,
    series: Sequence[Series],
    *,
    start: datetime | None,
    end: datetime,
    columns: Mapping[str, Column] | None = None,
    distinct: bool = False,
    resolved: bool = True,
) -> str:
    """Return a SELECT of the series' events in [start, end); see Source."""
    return Source(
        frame=plan.frame,
        subject=plan.subject,
        series=tuple(series),
        start=start,
        end=end,
        where=asked_of_all(plan.request.where, plan.frame, include_internal=plan.request.include_internal),
        columns=columns or {},
        distinct=distinct,
        resolved=resolved,
        pointers=("/start", "/return")[: len(series)],
    ).sql()


def place(scope: Scope) -> str:
    """Return SQL of what orders events of one time."""
    return f"tuple(message_id, toUInt8({RANK[scope.tables[0]]}))"


def breakdown_values(plan: Plan) -> Column:
    """Return SQL of an event's values: a tuple of Nullable(String)."""
    breakdown = plan.request.breakdown
    assert breakdown is not None
    return lambda scope: f"tuple({', '.join(values(breakdown, scope))})"


def number(plan: Plan) -> Column:
    """Return SQL of what an event adds to a sum: 0 when the field is no number."""
    measure = plan.request.measure
    assert measure is not None
    return lambda scope: f"ifNull({compile_field(measure.field, scope, '/measure/field').number}, 0.)"


def firsts(ordered: str) -> str:
    """Return SQL of the first element of each period, of an ascending array of tuples that begin with a period."""
    before = f"arrayPushFront(arrayPopBack({ordered}.1), toUInt16({_NEVER}))"
    return f"arrayFilter((start, before) -> start.1 != before, {ordered}, {before})"


def text_of(values: Sequence[str | None]) -> str:
    """Return one text for a tuple of values, another for every other tuple."""
    return "".join("-" if value is None else f"{len(value.encode())}:{value}" for value in values)


def text_sql(values: str, parts: int) -> str:
    """Return SQL of the same for a tuple of `parts` values."""
    each = [
        f"ifNull(concat(toString(length({value})), ':', {value}), '-')"
        for value in (f"{values}.{number}" for number in range(1, parts + 1))
    ]
    return f"concat({', '.join(each)}, '')"


def index_in(values: str, groups: Sequence[Sequence[str | None]], parts: int) -> str:
    """Return SQL (UInt16) of the place of an event's values among groups; behind the last for all others."""
    texts = ", ".join(sql.string(text_of(group)) for group in groups)
    places = ", ".join(f"toUInt16({place})" for place in range(len(groups)))
    return f"transform({text_sql(values, parts)}, [{texts}], [{places}], toUInt16({len(groups)}))"
