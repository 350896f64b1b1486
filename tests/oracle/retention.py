"""What `POST /query/retention` means: docs/retention.md, followed literally, actor by actor and cell by cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.oracle import buckets, series, timerange
from tests.oracle.events import Event
from tests.oracle.series import Key

HOUR = 3_600_000
ROLLING = {"hour": HOUR, "day": 24 * HOUR, "week": 7 * 24 * HOUR, "month": 30 * 24 * HOUR}
FOREVER = 10**15
Values: TypeAlias = tuple[str | None, ...]
Other = Literal["other"]
Cell: TypeAlias = tuple[Values | Other, int, int]
"""(group, row, column); without a breakdown the group is ()."""


@dataclass
class Triangle:
    """Who counts in each cell, and the sum of the measure there; which cells are there; the groups in their order."""

    rows: list[int]
    """When each begins, in milliseconds."""
    columns: list[tuple[int, int]]
    groups: list[Values | Other]
    states: dict[tuple[int, int], Literal["null", "running", "complete"]]
    members: dict[Cell, set[Key]] = field(default_factory=dict)
    sums: dict[Cell, float] = field(default_factory=dict)


def retention(
    request: Mapping[str, Any],
    events: Iterable[Event],
    workspace: UUID,
    *,
    start: int,
    end: int,
    as_of: int,
    zone: str = "UTC",
    week_start: str = "monday",
) -> Triangle:
    """Answer a request (as JSON) over all events of a workspace. `start`, `end`, `as_of`: what the request's range and
    clock come to, in milliseconds."""
    horizon = min(as_of, end) if request.get("range") == "all" else as_of
    period, rolling = request.get("period", "day"), request.get("cells") == "rolling"
    columns = columns_of(request)
    bounds = periods(start, end, 1 + columns[-1][1], period, zone, week_start)
    rows = [begin for begin in bounds if begin < end and end > start]

    def ends_of(row: int, column: int, anchors: tuple[int, int]) -> tuple[int, int]:
        """When a column begins and ends; in rolling, for the earliest and the latest of some anchors."""
        first, last = columns[column]
        if rolling and column:
            return anchors[0] + first * ROLLING[period], anchors[1] + (last + 1) * ROLLING[period]
        return bounds[row + first], bounds[row + last + 1]

    states: dict[tuple[int, int], Literal["null", "running", "complete"]] = {}
    for row in range(len(rows)):
        for column in range(len(columns)):
            begin, close = ends_of(row, column, (bounds[row], bounds[row + 1]))
            states[row, column] = "null" if begin >= horizon else "running" if close > horizon else "complete"

    pairs = series.keyed(events, workspace, request.get("analyse_by", "actor"))
    started, returned = series_of(request)
    asked: dict[str, Any] = {
        "where": request.get("where"),
        "end_of_history": max(end, as_of),
        "as_of": datetime.fromtimestamp(as_of / 1000, UTC),
        "zone": zone,
    }
    starts, returns = series.meant(started, pairs, **asked), series.meant(returned, pairs, **asked)
    entries: dict[tuple[Key, int], Event] = {}
    back: dict[Key, list[Event]] = {}
    for key, event in pairs:
        if event["timestamp"] >= horizon:
            continue
        if series.id_of(event) in returns:
            back.setdefault(key, []).append(event)
        if series.id_of(event) in starts:
            for row in range(len(rows)):
                if bounds[row] <= event["timestamp"] < bounds[row + 1]:
                    entries.setdefault((key, row), event)

    breakdown = request.get("breakdown")
    parts = breakdown["by"] if breakdown else []
    ranked = Counter(values_of(parts, event) for event in entries.values())
    order = sorted(ranked, key=lambda values: (-ranked[values], [(v is not None, (v or "").encode()) for v in values]))
    shown = order[: breakdown.get("limit", 25)] if breakdown else [()]
    groups: list[Values | Other] = [*shown, *(["other"] if len(order) > len(shown) and breakdown else [])]  # type: ignore[list-item]

    def folded(event: Event) -> Values | Other:
        values = values_of(parts, event)
        return values if values in shown else "other"

    triangle = Triangle(rows, columns, groups, states)
    for (key, row), entry in entries.items():
        group = folded(entry)
        for column in range(len(columns)):
            begin, close = ends_of(row, column, (entry["timestamp"], entry["timestamp"]))
            close = FOREVER if request.get("on_or_after") else close
            inside = [
                event
                for event in back.get(key, [])
                if begin <= event["timestamp"] < close
                and not (breakdown and breakdown.get("holding") and folded(event) != group)
            ]
            if column == 0 or len(inside) >= request.get("min_occurrences", 1):
                cell = (group, row, column)
                triangle.members.setdefault(cell, set()).add(key)
                if "measure" in request:
                    numbers = [series.number(request["measure"]["field"], event) for event in inside]
                    total = triangle.sums.get(cell, 0.0) + sum(
                        float(number) for number in numbers if number is not None
                    )
                    triangle.sums[cell] = total
    return triangle


def series_of(request: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what the start and the return mean."""
    start = dict(request["start"])
    other = {name: value for name, value in start.items() if name not in ("occurrence", "having")}
    if request.get("cohorts") == "first_time":
        start["occurrence"] = "first"
    return start, request.get("return", other)


def columns_of(request: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the first and the last period of each column."""
    if "brackets" not in request:
        return [(k, k) for k in range(request.get("periods", 8))]
    columns = [(0, 0)]
    for length in request["brackets"]:
        columns.append((columns[-1][1] + 1, columns[-1][1] + length))
    return columns


def values_of(parts: Iterable[Any], event: Event) -> Values:
    """Return the texts an event stands under."""
    return tuple(series.value(part, event) if isinstance(part, str) else _bucket(part, event) for part in parts)


def _bucket(part: Mapping[str, Any], event: Event) -> str | None:
    number = series.number(part["field"], event)
    if number is None:
        return None
    bounds = part["bounds"]
    if number < bounds[0]:
        return f"<{bounds[0]}"
    if number >= bounds[-1]:
        return f">={bounds[-1]}"
    low = max(bound for bound in bounds if bound <= number)
    return f"{low}..{bounds[bounds.index(low) + 1]}"


def periods(start: int, end: int, behind: int, period: str, zone: str, week_start: str) -> list[int]:
    """Return when the periods begin that touch [start, end), and those of `behind` more."""
    first = datetime.fromtimestamp(start / 1000, UTC)
    found: list[int] = []
    if period == "hour":
        later = datetime.fromtimestamp(end / 1000, UTC) + timedelta(hours=behind + 2)
        early = (first - timedelta(hours=3)).replace(second=0, microsecond=0)
        found = [_milliseconds(each) for each in buckets.starts(early, later, "hour", ZoneInfo(zone))]
    else:
        day = (first.astimezone(ZoneInfo(zone)) - timedelta(days=40)).date()
        after = 0
        while after <= behind + 1:
            begins = {
                "day": True,
                "week": day.weekday() == (0 if week_start == "monday" else 6),
                "month": day.day == 1,
            }[period]
            if begins and (instant := _midnight(day.toordinal(), zone)) not in found[-1:]:
                found.append(instant)
                after += instant >= end
            day += timedelta(days=1)
    held = max(number for number, begin in enumerate(found) if begin <= start)
    last = next(number for number, begin in enumerate(found) if begin >= end and number >= held)
    return found[held : last + behind + 1]


@cache
def _midnight(ordinal: int, zone: str) -> int:
    day = datetime.fromordinal(ordinal).date()
    return _milliseconds(timerange.instant_of(datetime.combine(day, time()), ZoneInfo(zone)))


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
