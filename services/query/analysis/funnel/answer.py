"""A funnel's answer: rows of steps with their rates, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from contracts.analysis import Group
from contracts.common import Facts, expand_tables
from contracts.funnel import FunnelGroup, FunnelResult, FunnelStep, Seconds, Step, TrendPoint
from services.query.analysis.buckets import label
from services.query.analysis.delivery import Table
from services.query.analysis.funnel.exact.rules import Rules
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.summary import Summary


def result_of(plan: Plan, groups: Sequence[tuple[Group | None, Summary]], meta: Facts) -> FunnelResult:
    """Return the answer."""
    return FunnelResult(data=tuple(_group(plan, group, summary) for group, summary in groups), meta=meta)


def previous(rules: Rules, step: int) -> int:
    """Return the step that one (from 2) compares with: the last required one before it."""
    return max(number for number in range(1, step) if number not in rules.optional)


def _group(plan: Plan, group: Group | None, summary: Summary) -> FunnelGroup:
    trend = None
    if plan.request.trend is not None:
        starts = plan.starts
        trend = tuple(
            TrendPoint(start=label(start, plan.frame.timezone), counts=tuple(counts))
            for start, counts in zip(starts, summary.trend, strict=True)
        )
    return FunnelGroup(
        group=group,
        steps=tuple(_step(plan, number, summary) for number in range(1, plan.rules.steps + 1)),
        trend=trend,
        time_to_convert=None if plan.request.time_to_convert is None else summary.bins,
    )


def _step(plan: Plan, number: int, summary: Summary) -> FunnelStep:
    count, first = summary.counts[number - 1], summary.counts[0]
    before = None if number == 1 else summary.counts[previous(plan.rules, number) - 1]
    timed = plan.request.times and number > 1
    return FunnelStep(
        step=number,
        label=_label(plan, plan.request.steps[number - 1]),
        count=count,
        from_previous=count / before if before else None,
        from_first=count / first if first else None,
        dropped=None if before is None else before - count,
        seconds_from_previous=summary.previous[number - 1] if timed else None,
        seconds_from_first=summary.first[number - 1] if timed else None,
    )


def _label(plan: Plan, step: Step) -> str:
    if plan.rules.order == "any":
        return ""
    return step.label or ", ".join(step.names or expand_tables(step.table))


def table_of(plan: Plan, result: FunnelResult) -> Table:
    """Return the answer as one table: a line for each group and step, then for each point of the trend and step, then
    for each bin. `kind` says which; `start` and `end` are of the interval or, in seconds, of the bin."""
    breakdown = plan.request.breakdown
    parts = 0 if breakdown is None else len(breakdown.by)
    grouping = [*(f"group_{number}" for number in range(1, parts + 1)), "other"] if parts else []
    times = [f"{what}_from_{whence}" for whence in ("previous", "first") for what in ("mean", "median", "p90")]
    header = [*grouping, "kind", "start", "end", "step", "label", "count"]
    header += ["from_previous", "from_first", "dropped", *(times if plan.request.times else [])]
    return header, _lines(plan, result, parts, len(header))


def _lines(plan: Plan, result: FunnelResult, parts: int, width: int) -> Iterator[Sequence[object]]:
    for one in result.data:
        named: list[object] = []
        if one.group is not None:
            named = [*(one.group.values or (None,) * parts), one.group.other]
        lines: list[list[object]] = []
        for step in one.steps:
            rates = [step.from_previous, step.from_first, step.dropped]
            times = _times(step.seconds_from_previous) + _times(step.seconds_from_first) if plan.request.times else []
            lines.append(["step", None, None, step.step, step.label, step.count, *rates, *times])
        for point in one.trend or ():
            lines += (["trend", point.start, None, number, None, n] for number, n in enumerate(point.counts, 1))
        lines += (["bin", bin_.start, bin_.end, None, None, bin_.count] for bin_ in one.time_to_convert or ())
        for line in lines:
            yield [*named, *line, *([None] * (width - len(named) - len(line)))]


def _times(seconds: Seconds | None) -> list[object]:
    return [None, None, None] if seconds is None else [seconds.mean, seconds.median, seconds.p90]
