"""The numbers of cells as an answer: rates, averages, what is null, and the same as one table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from contracts.analysis import Group
from contracts.common import Facts
from contracts.retention import RetentionColumn, RetentionGroup, RetentionResult, RetentionRow
from services.query.analysis.delivery import Table
from services.query.analysis.retention.plan import Plan

Cells: TypeAlias = Mapping[tuple[int, int, int], tuple[int, float]]
"""(group, row, column) → (count, sum); what is not there is (0, 0)."""
_Averaged: TypeAlias = Sequence[tuple[int, float]]
"""(size, number) of the cells of a column that count in its averages."""


def result_of(plan: Plan, groups: Sequence[Group | None], cells: Cells, meta: Facts) -> RetentionResult:
    """Return the answer; `groups` in the order of their places."""
    return RetentionResult(
        columns=tuple(
            RetentionColumn(first=first, last=None if plan.request.on_or_after and column else last)
            for column, (first, last) in enumerate(plan.spans)
        ),
        data=tuple(_group(plan, group, place, cells) for place, group in enumerate(groups)),
        meta=meta,
    )


def _group(plan: Plan, group: Group | None, place: int, cells: Cells) -> RetentionGroup:
    rows = tuple(_row(plan, place, row, cells) for row in range(plan.rows))
    measured = plan.request.measure is not None
    rates = _averaged(rows, [row.rates for row in rows], len(plan.spans))
    values = _averaged(rows, [row.values or () for row in rows], len(plan.spans))
    return RetentionGroup(
        group=group,
        rows=rows,
        mean=tuple(map(_mean, rates)),
        median=tuple(map(_median, rates)),
        mean_values=tuple(map(_mean, values)) if measured else None,
        median_values=tuple(map(_median, values)) if measured else None,
    )


def _row(plan: Plan, place: int, row: int, cells: Cells) -> RetentionRow:
    columns = range(len(plan.spans))
    begun = [plan.has_begun(row, column) for column in columns]
    found = [cells.get((place, row, column), (0, 0.0)) for column in columns]
    counts = [count if there else None for (count, _), there in zip(found, begun, strict=True)]
    size = counts[0]
    measure = plan.request.measure
    values: tuple[float | None, ...] | None = None
    if measure is not None:
        shown = [total if measure.kind == "sum" else _ratio(total, count) for count, total in found]
        values = tuple(value if there else None for value, there in zip(shown, begun, strict=True))
    return RetentionRow(
        start=plan.label(row),
        size=size,
        counts=tuple(counts),
        rates=tuple(None if count is None or not size else count / size for count in counts),
        values=values,
        incomplete=tuple(plan.is_running(row, column) for column in columns),
    )


def _ratio(total: float, count: int) -> float | None:
    return total / count if count else None


def _averaged(rows: Sequence[RetentionRow], numbers: Sequence[Sequence[float | None]], columns: int) -> list[_Averaged]:
    """Return for each column what its averages are made of; `numbers`: of each row, one a column."""
    found: list[list[tuple[int, float]]] = [[] for _ in range(columns)]
    for row, of_row in zip(rows, numbers, strict=True):
        for column, (number, running) in enumerate(zip(of_row, row.incomplete, strict=bool(of_row))):
            if row.size and number is not None and not running:
                found[column].append((row.size, number))
    return list(found)


def _mean(averaged: _Averaged) -> float | None:
    if not averaged:
        return None
    return sum(size * number for size, number in averaged) / sum(size for size, _ in averaged)


def _median(averaged: _Averaged) -> float | None:
    return statistics.median(number for _, number in averaged) if averaged else None


def table_of(plan: Plan, result: RetentionResult) -> Table:
    """Return the answer as one table: a line for each group, row and column."""
    breakdown, measured = plan.request.breakdown, plan.request.measure is not None
    parts = [] if breakdown is None else [f"group_{number}" for number in range(1, len(breakdown.by) + 1)]
    grouping = [*parts, "other"] if parts else []
    measuring = ["value"] if measured else []
    header = [*grouping, "start", "size", "k", "first", "last", "count", "rate", *measuring, "incomplete"]
    return header, _lines(result, len(parts))


def _lines(result: RetentionResult, parts: int) -> Iterable[Sequence[object]]:
    for group in result.data:
        named: list[object] = []
        if group.group is not None:
            named = [*(group.group.values or (None,) * parts), group.group.other]
        for row in group.rows:
            for k, column in enumerate(result.columns):
                value = [row.values[k]] if row.values is not None else []
                span = [column.first, column.last]
                yield [*named, row.start, row.size, k, *span, row.counts[k], row.rates[k], *value, row.incomplete[k]]
