"""The values and totals of a line from the rows of its statement (statements.py)."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from contracts.trends import Measure, Number

Row: TypeAlias = Sequence[Any]
_COUNTS: Final[frozenset[Measure]] = frozenset({"total", "actors", "sessions", "unique", "wau", "mau"})


@dataclass(frozen=True, slots=True)
class Numbers:
    """A value for each bucket, and the total."""

    values: tuple[Number, ...]
    total: Number


ByGroup: TypeAlias = dict[int, Numbers]
"""By the number of the group; groups without events are missing."""


def nothing(measure: Measure, size: int) -> Numbers:
    """Return the numbers of a group without events."""
    empty = 0.0 if measure == "sum" else 0 if measure in _COUNTS else None
    return Numbers((empty,) * size, empty)


def of_folded(rows: Iterable[Row], measure: Measure, size: int, *, cumulative: bool) -> ByGroup:
    """Read rows of (group, bucket, events, aggregates)."""
    fold = _FOLDS[measure]
    found = {}
    for group, buckets in _by_group(rows).items():
        parts = [[row] if (row := buckets.get(number)) else [] for number in range(size)]
        if cumulative:
            parts = list(itertools.accumulate(parts))
        values = tuple(_finite(fold(part)) for part in parts)
        found[group] = Numbers(values, _finite(fold(list(buckets.values()))))
    return found


def of_distinct(rows: Iterable[Row], size: int, *, cumulative: bool) -> ByGroup:
    """Read rows of (group, bucket, keys, keys that are new)."""
    found = {}
    for group, buckets in _by_group(rows).items():
        filled = [buckets.get(number, (0, 0)) for number in range(size)]
        so_far = list(itertools.accumulate(new for _, new in filled))
        values = so_far if cumulative else [keys for keys, _ in filled]
        found[group] = Numbers(tuple(values), so_far[-1] if so_far else 0)
    return found


def of_per_actor(rows: Iterable[Row], size: int, *, cumulative: bool) -> ByGroup:
    """Read rows of (group, bucket, keys, keys that are new, events): either keys or events are 0."""
    read = list(rows)
    keys = of_distinct([row[:4] for row in read if row[2]], size, cumulative=cumulative)
    events = of_folded([(row[0], row[1], row[4]) for row in read if row[4]], "total", size, cumulative=cumulative)
    return {
        group: Numbers(tuple(map(_ratio, counted.values, keys[group].values)), _ratio(counted.total, keys[group].total))
        for group, counted in events.items()
        if group in keys
    }


def of_quantile(rows: Iterable[Row], size: int, *, cumulative: bool) -> ByGroup:
    """Read rows of (group, bucket, whether it is the total, quantile); cumulative ones have no total of their own."""
    values: dict[int, dict[int, Number]] = defaultdict(dict)
    totals: dict[int, Number] = {}
    for group, bucket, is_total, value in rows:
        if is_total:
            totals[group] = _finite(value)
        else:
            values[group][bucket] = _finite(value)
    found = {}
    for group, by_bucket in values.items():
        filled: list[Number] = []
        for bucket in range(size):
            before = filled[-1] if cumulative and filled else None
            filled.append(by_bucket.get(bucket, before))
        found[group] = Numbers(tuple(filled), filled[-1] if cumulative else totals[group])
    return found


def of_rolling(rows: Iterable[Row], last: Sequence[int], size: int) -> ByGroup:
    """Read rows of (group, day, change): `last` is the day that each bucket's window ends with."""
    changes: dict[int, dict[int, int]] = defaultdict(dict)
    for group, day, change in rows:
        changes[group][day] = change
    found = {}
    for group, by_day in changes.items():
        on = list(itertools.accumulate(by_day.get(day, 0) for day in range(last[-1] + 1)))
        found[group] = Numbers(tuple(on[day] for day in last[:size]), on[last[-1]])
    return found


def _by_group(rows: Iterable[Row]) -> Mapping[int, dict[int, Row]]:
    found: dict[int, dict[int, Row]] = defaultdict(dict)
    for group, bucket, *rest in rows:
        found[group][bucket] = rest
    return found


def _finite(value: Number) -> Number:
    return value if value is not None and math.isfinite(value) else None


def _ratio(count: Number, of: Number) -> Number:
    return count / of if count is not None and of else None


def _numbers(rows: Iterable[Row], column: int) -> list[float]:
    return [row[column] for row in rows if row[column] is not None]


def _sum(values: Iterable[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # too large for a double, or both infinities
        return math.nan


def _mean(rows: Sequence[Row]) -> Number:
    count = sum(row[1] for row in rows)
    return _sum(_numbers(rows, 2)) / count if count else None


_FOLDS: Final[Mapping[Measure, Callable[[Sequence[Row]], Number]]] = {
    "total": lambda rows: sum(row[0] for row in rows),
    "sum": lambda rows: _sum(_numbers(rows, 1)),
    "avg": _mean,
    "min": lambda rows: min(_numbers(rows, 1), default=None),
    "max": lambda rows: max(_numbers(rows, 1), default=None),
}
"""From rows of (events, aggregates) of some buckets to the measure of them together."""
