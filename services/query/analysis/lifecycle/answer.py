"""The counts of states as an answer, and the same as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from contracts.analysis import LETTERS, Group
from contracts.lifecycle import LifecycleLine, LifecycleResult
from services.query.analysis.activity.plan import Plan
from services.query.analysis.delivery import Table
from services.query.analysis.lifecycle.statements import STATES, cell_of

Cells: TypeAlias = Mapping[tuple[int, int], int]
"""(group, cell) → keys; what is not there is 0."""


def line_of(plan: Plan, series: int, group: Group | None, number: int, cells: Cells) -> LifecycleLine:
    """Return the line of a series, or of its group with this number."""
    rows = range(plan.span.size)
    counts = {state: tuple(cells.get((number, cell_of(row, state)), 0) for row in rows) for state in STATES}
    return LifecycleLine(series=LETTERS[series], label=plan.request.series[series].label, group=group, **counts)


def table_of(plan: Plan, result: LifecycleResult) -> Table:
    """Return the answer as one table: a row for each line and period."""
    breakdown = plan.request.breakdown
    parts = 0 if breakdown is None else len(breakdown.by)
    grouping = [*(f"group_{number}" for number in range(1, parts + 1)), "other"] if parts else []
    return ["series", "label", *grouping, "start", "incomplete", *STATES], _rows(result, parts)


def _rows(result: LifecycleResult, parts: int) -> Iterator[Sequence[object]]:
    for line in result.data:
        named: list[object] = []
        if line.group is not None:
            named = [*(line.group.values or (None,) * parts), line.group.other]
        counts = (line.new, line.returning, line.resurrecting, line.dormant)
        for period, *of_period in zip(result.periods, *counts, strict=True):
            yield [line.series, line.label, *named, period.start, period.incomplete, *of_period]
