"""The answer of trends: its lines, formula included, and the same as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from contracts.analysis import Breakdown, Buckets, Group, Letter
from contracts.common import Facts
from contracts.trends import ComparedValues, TrendBucket, TrendLine, TrendsRequest, TrendsResult
from services.query.analysis.delivery import Table
from services.query.analysis.groups import Groups
from services.query.analysis.trends.formula import Expression, evaluate
from services.query.analysis.trends.numbers import ByGroup, Numbers, nothing
from services.query.analysis.trends.plan import Plan


def answer_of(plan: Plan, kept: Groups | None, found: Sequence[Sequence[ByGroup]], meta: Facts) -> TrendsResult:
    """Return the answer; `found`: for each period, for each line, its numbers by group."""
    zone = plan.frame.timezone
    lines = [line for number in _groups(kept, found) for line in _lines(plan, kept, found, number)]
    order = [*(line.letter for line in plan.lines), "formula"]
    return TrendsResult(
        buckets=plan.current.shown(zone),
        compared=None if plan.compared is None else plan.compared.shown(zone),
        data=tuple(sorted(lines, key=lambda line: order.index(line.series))),
        meta=meta,
    )


def _groups(kept: Groups | None, found: Sequence[Sequence[ByGroup]]) -> Sequence[int]:
    if kept is None:
        return [0]
    has_other = any(kept.other in by_group for lines in found for by_group in lines)
    return range(kept.other + has_other)


def _lines(plan: Plan, kept: Groups | None, found: Sequence[Sequence[ByGroup]], number: int) -> Iterator[TrendLine]:
    group = None if kept is None else kept.shown(number)
    periods: list[dict[str, Numbers]] = [
        {
            line.letter: by_group.get(number) or nothing(line.series.measure, period.size)
            for line, by_group in zip(plan.lines, lines, strict=True)
        }
        for period, lines in zip(plan.periods, found, strict=True)
    ]
    for line in plan.lines:
        yield _line(line.letter, line.series.label, group, [each[line.letter] for each in periods])
    if plan.formula is not None:
        computed = [_computed(plan.formula, each) for each in periods]
        yield _line("formula", plan.request.formula_label, group, computed)


def _line(series: Letter | Literal["formula"], label: str, group: Group | None, found: Sequence[Numbers]) -> TrendLine:
    current, *rest = found
    compared = ComparedValues(values=rest[0].values, total=rest[0].total) if rest else None
    return TrendLine(
        series=series, label=label, group=group, values=current.values, total=current.total, compared=compared
    )


def _computed(expression: Expression, lines: Mapping[str, Numbers]) -> Numbers:
    size = len(next(iter(lines.values())).values)
    values = [
        evaluate(expression, {letter: line.values[bucket] for letter, line in lines.items()}) for bucket in range(size)
    ]
    return Numbers(tuple(values), evaluate(expression, {letter: line.total for letter, line in lines.items()}))


def table_of(request: TrendsRequest, result: TrendsResult) -> Table:
    """Return the answer as one table: a row for each value and each total."""
    parts = [] if request.breakdown is None else _part_names(request.breakdown)
    grouped = [*parts, "other"] if parts else []
    return ["series", "label", *grouped, "period", "start", "incomplete", "value"], _rows(result, len(parts))


def _part_names(breakdown: Breakdown) -> list[str]:
    """Return the names of the columns of a group's values."""
    return [
        part if isinstance(part, str) else part.field if isinstance(part, Buckets) else "segment"
        for part in breakdown.by
    ]


def _rows(result: TrendsResult, parts: int) -> Iterator[Sequence[object]]:
    for line in result.data:
        group: list[object] = []
        if line.group is not None:
            group = [*(line.group.values or [None] * parts), line.group.other]
        periods: list[tuple[str, Sequence[TrendBucket], TrendLine | ComparedValues]] = [
            ("current", result.buckets, line)
        ]
        if line.compared is not None:
            periods.append(("compared", result.compared or (), line.compared))
        for name, buckets, numbers in periods:
            for bucket, value in zip(buckets, numbers.values, strict=True):
                yield [line.series, line.label, *group, name, bucket.start, bucket.incomplete, value]
            yield [line.series, line.label, *group, name, None, None, numbers.total]
