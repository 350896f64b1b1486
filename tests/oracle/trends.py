"""What `POST /query/trends` means, by going through the events once for every number: docs/trends.md."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.oracle import buckets, predicates, series, session, timerange
from tests.oracle.events import Event
from tests.oracle.series import Key, Pairs

LETTERS = "ABCDEFGHIJ"
WINDOWS = {"wau": 7, "mau": 30}
QUANTILES = {"median": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
COUNTS = ("total", "actors", "unique", "sum", "wau", "mau")
UNITS = {"minute": "min", "hour": "h", "day": "d", "week": "w", "month": "m"}
LONGEST = {"minute": 1, "hour": 1, "day": 3, "week": 9, "month": 33}
"""Days that hold a bucket and the clock changes around it."""
INSTANT = timedelta(microseconds=1)
OTHER = "other"

Group: TypeAlias = tuple[str | None, ...] | str | None
"""The values, or OTHER, or None without a breakdown."""
Number: TypeAlias = int | float | None


@dataclass(frozen=True)
class Period:
    """A range and its buckets: the start of each, and the end of the last."""

    start: datetime
    end: datetime
    bounds: tuple[datetime, ...]

    def part(self, bucket: int | None) -> tuple[datetime, datetime]:
        if bucket is None:
            return self.start, self.end
        return max(self.start, self.bounds[bucket]), min(self.end, self.bounds[bucket + 1])


@dataclass(frozen=True)
class Line:
    values: list[Number]
    total: Number


class Trends:
    """A request over all events of a workspace. `start`, `end` and `as_of` are the request's; its formula is given as a
    function of the values by letter."""

    def __init__(
        self,
        request: Mapping[str, Any],
        events: Iterable[Event],
        workspace: UUID,
        *,
        start: datetime,
        end: datetime,
        as_of: datetime,
        formula: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> None:
        self.request, self.as_of, self.formula = request, as_of, formula
        self.zone = ZoneInfo(request.get("timezone", "UTC"))
        self.by_actor: Pairs = series.keyed(events, workspace)
        self.by_key: Pairs = self.by_actor
        if not self._of_sessions(request):
            self.by_key = series.keyed(events, workspace, request.get("analyse_by", "actor"))
        self.current = self._period(start, end)
        self.compared = self._compared()
        self.periods = [self.current] if self.compared is None else [self.current, self.compared]
        self.history_end = _milliseconds(max(end, as_of))
        self._kept: set[tuple[str | None, ...]] | None = None
        self._meant: dict[tuple[int, Period], Pairs] = {}
        self._members: dict[tuple[int, Period], dict[Group, Pairs]] = {}
        self.groups = self._groups()

    def incomplete(self, period: Period) -> list[bool]:
        return [
            start < period.start or end > period.end or end > self.as_of
            for start, end in zip(period.bounds, period.bounds[1:], strict=False)
        ]

    def line(self, number: int, group: Group, period: Period) -> Line:
        """Return the numbers of a series."""
        values = [self._number(number, group, period, bucket) for bucket in range(len(period.bounds) - 1)]
        return Line(values, self._number(number, group, period, None))

    def computed(self, group: Group, period: Period) -> Line:
        """Return the numbers of the formula."""
        lines = {LETTERS[number]: self.line(number, group, period) for number in range(len(self.request["series"]))}
        values = [
            self._compute({letter: line.values[bucket] for letter, line in lines.items()})
            for bucket in range(len(period.bounds) - 1)
        ]
        return Line(values, self._compute({letter: line.total for letter, line in lines.items()}))

    def actors(self, number: int, group: Group, period: Period, bucket: int | None) -> set[Key]:
        """Return those behind a number."""
        field = self.request["series"][number].get("field")
        measure = self.request["series"][number].get("measure", "total")
        rows = self._rows(number, group, period, bucket)
        return {key for key, event in rows if field is None or _values(event, field, measure)}

    def _compute(self, values: Mapping[str, Number]) -> Number:
        assert self.formula is not None
        try:
            found = self.formula(values)
        except (TypeError, ZeroDivisionError):
            return None
        return found if math.isfinite(found) else None

    def _number(self, number: int, group: Group, period: Period, bucket: int | None) -> Number:
        one = self.request["series"][number]
        return measured(one, self._rows(number, group, period, bucket))

    def _rows(self, number: int, group: Group, period: Period, bucket: int | None) -> Pairs:
        """Return the events of a number."""
        if (number, period) not in self._members:
            members: dict[Group, Pairs] = {}
            for key, event in self._read(number, period):
                members.setdefault(self._group_of(event), []).append((key, event))
            self._members[number, period] = members
        return _between(self._members[number, period].get(group, []), *self._span(number, period, bucket))

    def _read(self, number: int, period: Period) -> Pairs:
        """Return the events that the numbers of a series are made of, each with its key."""
        if (number, period) not in self._meant:
            one, where = self.request["series"][number], self.request.get("where")
            spans = [self._span(number, period, bucket) for bucket in range(len(period.bounds) - 1)]
            read = min([period.start, *(start for start, _ in spans)]), period.end
            pairs = self.by_key
            if self._of_sessions(one):
                pairs = self._by_session(read, all_history=one.get("occurrence", "any") != "any")
            meant = series.meant(
                one, pairs, where=where, end_of_history=self.history_end, as_of=self.as_of, zone=self.zone.key
            )
            chosen = [(key, event) for key, event in pairs if series.id_of(event) in meant]
            self._meant[number, period] = _between(chosen, *read)
        return self._meant[number, period]

    def _of_sessions(self, one: Mapping[str, Any]) -> bool:
        return one.get("measure") == "sessions" or self.request.get("analyse_by") == "session"

    def _by_session(self, read: tuple[datetime, datetime], *, all_history: bool) -> Pairs:
        """Return the events of the sessions in what is read, each with that of its actor's sessions which it is in."""
        where = self.request.get("where")
        first, last = (None, self.history_end) if all_history else map(_milliseconds, read)

        def seen(event: Event) -> bool:
            inside = (first is None or event["timestamp"] >= first) and event["timestamp"] < last
            return inside and (where is None or series.holds(where, event, as_of=self.as_of, zone=self.zone.key))

        return session.keyed(self.by_actor, seen=seen)

    def _span(self, number: int, period: Period, bucket: int | None) -> tuple[datetime, datetime]:
        """Return where the events of a number lie."""
        length = WINDOWS.get(self.request["series"][number].get("measure", "total"))
        if length is not None:
            days = self._days(period)
            last = self._last_day(days, period, len(period.bounds) - 2 if bucket is None else bucket)
            return days[last - length + 1], min(days[last + 1], period.end)
        start, end = period.part(bucket)
        return (period.start if self.request.get("cumulative") else start), end

    def _last_day(self, days: Sequence[datetime], period: Period, bucket: int) -> int:
        """Return the number of the local day that a bucket's window ends with."""
        last = period.part(bucket)[1] - INSTANT
        if period.bounds[bucket] <= self.as_of:
            last = min(last, self.as_of)
        return max(index for index, day in enumerate(days) if day <= last)

    def _days(self, period: Period) -> Sequence[datetime]:
        first = period.bounds[0] - timedelta(days=40)
        return _starts(first, max(period.bounds[-1], self.as_of) + timedelta(days=3), "day", self.zone, "monday")

    def _groups(self) -> list[Group]:
        """Return the groups in their order, and decide what is `other`."""
        if "breakdown" not in self.request:
            return [None]
        first = {self._tuple_of(event) for _, event in self._read(0, self.current)}
        rest = {
            self._tuple_of(event)
            for number in range(1, len(self.request["series"]))
            for _, event in self._read(number, self.current)
        }
        ranks = {group: self._number(0, group, self.current, None) for group in first}
        order = sorted(first, key=lambda group: (ranks[group] is None, -(ranks[group] or 0), _by_text(group)))
        order += sorted(rest - first, key=_by_text)
        kept = order[: self.request["breakdown"].get("limit", 25)]
        self._kept = set(kept)
        self._members = {}
        everything = [
            event
            for number in range(len(self.request["series"]))
            for period in self.periods
            for _, event in self._read(number, period)
        ]
        has_other = any(self._group_of(event) == OTHER for event in everything)
        return [*kept, *([OTHER] if has_other else [])]

    def _group_of(self, event: Event) -> Group:
        if "breakdown" not in self.request:
            return None
        found = self._tuple_of(event)
        return found if self._kept is None or found in self._kept else OTHER

    def _tuple_of(self, event: Event) -> tuple[str | None, ...]:
        return tuple(_part(part, event) for part in self.request["breakdown"]["by"])

    def _compared(self) -> Period | None:
        compare = self.request.get("compare")
        if compare is None:
            return None
        offset = compare.get("offset", "previous")
        if offset == "previous":
            amount, unit = len(self.current.bounds) - 1, UNITS[self.request.get("interval", "day")]
        else:
            amount, unit = next(
                (int(offset[1:].removesuffix(unit)), unit)
                for unit in ("min", "h", "d", "w", "m")
                if offset.endswith(unit) and offset[1:].removesuffix(unit).isdigit()
            )
        start, end = (
            timerange.shifted(moment, -amount, unit, self.zone) for moment in (self.current.start, self.current.end)
        )
        return self._period(start, end)

    def _period(self, start: datetime, end: datetime) -> Period:
        interval = self.request.get("interval", "day")
        spare = timedelta(days=LONGEST[interval])
        found = _starts(start - spare, end + spare, interval, self.zone, self.request.get("week_start", "monday"))
        first = max(index for index, moment in enumerate(found) if moment <= start)
        last = min(index for index, moment in enumerate(found) if moment >= end)
        return Period(start, end, tuple(found[first : last + 1]))


def _between(pairs: Pairs, start: datetime, end: datetime) -> Pairs:
    first, last = _milliseconds(start), _milliseconds(end)
    return [(key, event) for key, event in pairs if first <= event["timestamp"] < last]


def measured(one: Mapping[str, Any], rows: Pairs) -> Number:
    """Return a measure of some events."""
    measure = one.get("measure", "total")
    keys = {key for key, _ in rows}
    match measure:
        case "total":
            return len(rows)
        case "actors" | "sessions" | "wau" | "mau":
            return len(keys)
        case "per_actor":
            return len(rows) / len(keys) if rows else None
    found = [value for _, event in rows for value in _values(event, one["field"], measure)]
    if measure == "unique":
        return len(set(found))
    if not found:
        return 0 if measure == "sum" else None
    match measure:
        case "sum":
            return math.fsum(found)
        case "avg":
            return math.fsum(found) / len(found)
        case "min":
            return float(min(found))
        case "max":
            return float(max(found))
    return quantile(sorted(found), QUANTILES[measure])


def quantile(numbers: Sequence[float], level: float) -> float:
    """Return the quantile of sorted numbers, type 7."""
    place = (len(numbers) - 1) * level
    below = math.floor(place)
    above = min(below + 1, len(numbers) - 1)
    return numbers[below] + (numbers[above] - numbers[below]) * (place - below)


def _values(event: Event, field: str, measure: str) -> list[Any]:
    """Return the texts of a field for `unique`, else its numbers."""
    found = predicates.of_row(event, field)
    if measure == "unique":
        return [predicates.shown(value) for value in found if not predicates.absent(value)]
    numbers = [predicates.number(value) for value in found]
    return [float(number) for number in numbers if number is not None]


def _part(part: str | Mapping[str, Any], event: Event) -> str | None:
    if isinstance(part, str):
        return series.value(part, event)
    number = series.number(part["field"], event)
    if number is None:
        return None
    bounds = part["bounds"]
    if number < bounds[0]:
        return f"<{bounds[0]:g}"
    for low, high in itertools.pairwise(bounds):
        if low <= number < high:
            return f"{low:g}..{high:g}"
    return f">={bounds[-1]:g}"


def _by_text(group: tuple[str | None, ...]) -> list[tuple[bool, bytes]]:
    return [(value is not None, (value or "").encode()) for value in group]


@cache
def _starts(first: datetime, last: datetime, interval: str, zone: ZoneInfo, week_start: str) -> Sequence[datetime]:
    def whole(moment: datetime) -> datetime:
        return moment.astimezone(UTC).replace(second=0, microsecond=0)

    return tuple(buckets.starts(whole(first), whole(last), interval, zone, week_start))


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
