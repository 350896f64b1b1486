"""The statements of a line over a period, and of the groups that stay. Each returns rows of (group, bucket, …), `g` and
`b`; without a breakdown all events are of group 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from contracts.analysis import Breakdown
from contracts.trends import Measure
from services.kit import sql
from services.query.analysis import buckets, groups
from services.query.analysis.bucketing import bucket_of
from services.query.analysis.groups import Groups
from services.query.analysis.source import Column
from services.query.analysis.trends.line import Line
from services.query.analysis.trends.periods import Days, Period

QUANTILES: Final[Mapping[Measure, float]] = {"median": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
AGGREGATES: Final[Mapping[Measure, tuple[str, ...]]] = {
    "total": (),
    "sum": ("sumKahan(value)",),
    "avg": ("count(value)", "sumKahan(value)"),
    "min": ("min(value)",),
    "max": ("max(value)",),
}
"""What is computed of each bucket, besides the number of its events, so that buckets can be put together."""
_MASKS: Final = (64, 128)
"""Bits of the integers that a bit a bucket fits into; with more buckets arrays of their numbers are faster."""


def folded(line: Line, period: Period, kept: Groups | None) -> str:
    """Return rows of g, b, the number of events, and the `AGGREGATES` of the measure."""
    wanted = ", ".join(["g", "b", "count()", *AGGREGATES[line.series.measure]])
    return f"SELECT {wanted} FROM ({_bucketed(line, period, kept, counted=True)}) GROUP BY g, b"


def quantile(line: Line, period: Period, kept: Groups | None, *, cumulative: bool) -> str:
    """Return rows of g, b, whether the row is the group's total, and the quantile: of the bucket, or of all buckets up
    to it. It is NaN or null without numbers."""
    level = f"quantileExactInclusive{{}}({QUANTILES[line.series.measure]})"
    events = _bucketed(line, period, kept, counted=True)
    states = f"SELECT g, b, {level.format('State')}(value) AS s FROM ({events}) GROUP BY g, b"
    merged = f"{level.format('Merge')}(s)"
    if cumulative:
        return f"SELECT g, b, 0, {merged} OVER (PARTITION BY g ORDER BY b) FROM ({states})"
    return f"SELECT g, b, grouping(b), {merged} FROM ({states}) GROUP BY GROUPING SETS ((g, b), (g))"


def distinct(line: Line, period: Period, kept: Groups | None) -> str:
    """Return rows of g, b, the number of keys, and the number of those that have no earlier bucket."""
    events = _bucketed(line, period, kept, counted=False)
    per_key = _buckets_of_keys(line, events, period.size)
    return (
        f"SELECT g, b, count(k), countIf(isNotNull(k) AND b = bs[1]) FROM ({per_key}) ARRAY JOIN bs AS b GROUP BY g, b"
    )


def per_actor(line: Line, period: Period, kept: Groups | None) -> str:
    """Return rows as `distinct`, and of g, b, 0, 0 and the number of events: two passes that each group by little cost
    a quarter of one that groups by key and bucket."""
    events = _bucketed(line, period, kept, counted=True)
    return (
        f"SELECT *, toUInt64(0) FROM ({distinct(line, period, kept)}) "
        f"UNION ALL SELECT g, b, 0, 0, count() FROM ({events}) GROUP BY g, b"
    )


def rolling(line: Line, period: Period, days: Days, kept: Groups | None) -> str:
    """Return rows of g, day, and by how much the number of keys in the window that ends with that day exceeds that of
    the day before."""
    events = _events(line, period, kept, days.bounds, counted=False)
    per_key = _buckets_of_keys(line, events, len(days.bounds) - 1)
    # A day's window closes when it is over, or when the key's next day opens another.
    opened = "arrayMap(day -> (toInt32(day), 1), bs)"
    closed = (
        f"arrayMap((day, following) -> (toInt32(least(day + {days.length}, following)), -1), bs, "
        "arrayPushBack(arrayPopFront(bs), toUInt16(65535)))"
    )
    changes = f"SELECT g, arrayJoin(arrayConcat({opened}, {closed})) AS change FROM ({per_key})"
    return f"SELECT g, change.1 AS day, sum(change.2) FROM ({changes}) GROUP BY g, day"


def ranked(line: Line, period: Period, breakdown: Breakdown) -> str:
    """Return the values of the greatest groups by the line's measure over the period, in their order."""
    named = groups.names(breakdown)
    order = ", ".join(["r DESC NULLS LAST", *(f"{name} ASC NULLS FIRST" for name in named)])
    events = line.source(line.read(period), columns=_values(breakdown), counted=True)
    return (
        f"SELECT {', '.join(named)} FROM (SELECT {', '.join(named)}, {_measure(line, period)} AS r FROM ({events}) "
        f"GROUP BY {', '.join(named)}) ORDER BY {order} LIMIT {breakdown.limit}"
    )


def first_by_text(line: Line, period: Period, breakdown: Breakdown, limit: int) -> str:
    """Return the values of the first groups of a line, by text."""
    order = ", ".join(f"{name} ASC NULLS FIRST" for name in groups.names(breakdown))
    listed = ", ".join(groups.names(breakdown))
    events = line.source(line.read(period), columns=_values(breakdown))
    return f"SELECT DISTINCT {listed} FROM ({events}) ORDER BY {order} LIMIT {limit}"


def _measure(line: Line, period: Period) -> str:
    """Return SQL of the measure of all events of a group; null or NaN without."""
    measure, key = line.series.measure, line.subject.resolve("actor")
    if measure in QUANTILES:
        return f"ifNotFinite(quantileExactInclusive({QUANTILES[measure]})(value), NULL)"
    days = line.days(period)
    if days is not None:
        start, end = (buckets.milliseconds(moment) for moment in days.window(None))
        return f"uniqExactIf({key}, ts >= {sql.integer(start)} AND ts < {sql.integer(end)})"
    return {
        "total": "count()",
        "actors": f"uniqExact({key})",
        "sessions": f"uniqExact({key})",
        "per_actor": f"count() / uniqExact({key})",
        "unique": "uniqExact(value)",
        "sum": "ifNull(sumKahan(value), 0)",
        "avg": "if(count(value) = 0, NULL, sumKahan(value) / count(value))",
        "min": "min(value)",
        "max": "max(value)",
    }[measure]


def _bucketed(line: Line, period: Period, kept: Groups | None, *, counted: bool) -> str:
    return _events(line, period, kept, period.bounds, counted=counted)


def _events(line: Line, period: Period, kept: Groups | None, bounds: Sequence[datetime], *, counted: bool) -> str:
    columns: dict[str, Column] = {} if kept is None else {"g": kept.number}
    source = line.source(line.read(period), columns=columns, counted=counted)
    group = "toUInt16(0) AS g" if kept is None else "g"
    value = ", value" if line.series.field is not None else ""
    return f"SELECT {group}, {bucket_of('ts', bounds)} AS b, actor{value} FROM ({source})"


def _buckets_of_keys(line: Line, events: str, size: int) -> str:
    """Return rows of g, `k` (a key that is counted; null for an event without the value), and `bs`: the numbers of the
    buckets it has, ascending. Own keys are put together before they are resolved."""
    key, resolved = _key(line)
    bits = next((bits for bits in _MASKS if size <= bits), None)
    if bits is None:
        own = f"SELECT g, {key} AS own, arrayDistinct(groupArray(b)) AS found FROM ({events}) GROUP BY g, own"
        merged = "arraySort(arrayDistinct(groupArrayArray(found)))"
        return f"SELECT g, {resolved} AS k, {merged} AS bs FROM ({own}) GROUP BY g, k"
    mask = f"groupBitOr(bitShiftLeft(toUInt{bits}(1), b))"
    own = f"SELECT g, {key} AS own, {mask} AS m FROM ({events}) GROUP BY g, own"
    merged = (
        own if resolved == "own" else f"SELECT g, {resolved} AS own, groupBitOr(m) AS m FROM ({own}) GROUP BY g, own"
    )
    return f"SELECT g, own AS k, CAST(bitPositionsToArray(m), 'Array(UInt16)') AS bs FROM ({merged})"


def _key(line: Line) -> tuple[str, str]:
    """Return SQL of what is counted, of an event, and then of `own`, what one of the groups made of it."""
    if line.series.measure == "unique":
        # 128 bits stand for a text, as in the engine's own uniqExact.
        return "if(isNull(value), NULL, reinterpretAsUInt128(sipHash128(assumeNotNull(value))))", "own"
    return "actor", line.subject.resolve("own")


def _values(breakdown: Breakdown) -> dict[str, Column]:
    return {name: partial(groups.value, breakdown, index) for index, name in enumerate(groups.names(breakdown))}
