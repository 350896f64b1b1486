"""The numbers of a funnel's answer from the chains that decide it: docs/funnel.md, "Answer"."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle import buckets, series
from tests.oracle.funnel import Decided, Funnel, Part


def data(funnel: Funnel) -> list[dict[str, Any]]:
    """Return `data` of the answer, as JSON."""
    return [_group(funnel, part) for part in funnel.parts]


def _group(funnel: Funnel, part: Part) -> dict[str, Any]:
    wanted = funnel.request.get("time_to_convert")
    trend = [
        {
            "start": label(start, funnel.zone),
            "counts": [len(part.reached(step, point=number)) for step in _steps(funnel)],
        }
        for number, start in enumerate(funnel.intervals[:-1])
    ]
    return {
        "group": None if part.group is None else part.group.json,
        "steps": [_row(funnel, part, step) for step in _steps(funnel)],
        "trend": trend if funnel.request.get("trend") else None,
        "time_to_convert": None
        if wanted is None
        else histogram(spans(part.whole, wanted["from_step"], wanted["to_step"]), wanted.get("bins")),
    }


def _steps(funnel: Funnel) -> range:
    return range(1, funnel.rules.steps + 1)


def _row(funnel: Funnel, part: Part, step: int) -> dict[str, Any]:
    count, entered = len(part.reached(step)), len(part.reached(1))
    row: dict[str, Any] = {
        "step": step,
        "label": _label(funnel, step),
        "count": count,
        "from_previous": None,
        "from_first": count / entered if entered else None,
        "dropped": None,
        "seconds_from_previous": None,
        "seconds_from_first": None,
    }
    if step > 1:
        previous = funnel.previous(step)
        before = part.reached(previous)
        row["from_previous"] = count / len(before) if before else None
        row["dropped"] = len(before - part.reached(step))
        if funnel.request.get("times"):
            row["seconds_from_previous"] = described(spans(part.whole, previous, step))
            row["seconds_from_first"] = described(spans(part.whole, 1, step))
    return row


def _label(funnel: Funnel, step: int) -> str:
    if funnel.rules.order == "any":
        return ""
    asked: Mapping[str, Any] = funnel.request["steps"][step - 1]
    return asked.get("label") or ", ".join(asked.get("names") or series.tables_of(asked))


def spans(decided: Decided, first: int, last: int) -> list[int]:
    """Return the milliseconds between two steps of the chains that have both."""
    reached = [(chain.at(first), chain.at(last)) for chain in decided.values()]
    return sorted(end - start for start, end in reached if start is not None and end is not None)


def described(milliseconds: Sequence[int]) -> dict[str, float] | None:
    """Return mean, median and 90th percentile in seconds; quantiles interpolate linearly."""
    if not milliseconds:
        return None
    values = [span / 1000 for span in milliseconds]
    return {"mean": statistics.fmean(values), "median": quantile(values, 0.5), "p90": quantile(values, 0.9)}


def quantile(ascending: Sequence[float], level: float) -> float:
    """Return a quantile of type 7."""
    place = level * (len(ascending) - 1)
    low, high = ascending[math.floor(place)], ascending[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def histogram(values: Sequence[int], bins: int | None) -> list[dict[str, Any]]:
    """Return the bins of milliseconds, the closing one included."""
    if not values:
        return []
    if bins is None:
        bins = next(count for count in range(1, len(values) + 1) if count**3 >= len(values))
    low = min(values)
    width = -((low - max(values)) // (bins * 1000)) or 60
    edges = [low + number * width * 1000 for number in range(bins + 2)]
    return [
        {"start": start / 1000, "end": end / 1000, "count": sum(start <= value < end for value in values)}
        for start, end in pairwise(edges)
    ]


@lru_cache
def intervals(start: int, end: int, interval: str, zone: str, week_start: str) -> tuple[int, ...]:
    """Return the instants (milliseconds) at which the intervals that touch [start, end) begin, and last the end of the
    last one; nothing for an empty range."""
    if start >= end:
        return ()
    margin = {"minute": timedelta(hours=2), "hour": timedelta(days=1)}.get(interval, timedelta(days=33))
    first, last = (datetime.fromtimestamp(moment // 60_000 * 60, UTC) for moment in (start, end))
    found = buckets.starts(first - margin, last + margin, interval, ZoneInfo(zone), week_start)
    instants = [round(moment.timestamp() * 1000) for moment in found]
    touching = [instant for instant in instants if start < instant < end]
    return (
        max(instant for instant in instants if instant <= start),
        *touching,
        min(instant for instant in instants if instant >= end),
    )


def label(instant: int, zone: str) -> str:
    """Return an instant as answers write it: local time with its offset."""
    return datetime.fromtimestamp(instant / 1000, ZoneInfo(zone)).isoformat()
