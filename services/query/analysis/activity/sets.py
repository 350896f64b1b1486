"""The SQL of each key's periods: bits of one integer while they fit, an array beyond."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.kit import sql
from services.kit.predicates import Scope
from services.query.analysis import buckets
from services.query.analysis.activity.plan import Plan, Span
from services.query.analysis.bucketing import bucket_of
from services.query.analysis.source import RANK, Column

_WIDTHS: Final = (64, 128, 256)
"""Bits of the integers used."""


def place(scope: Scope) -> str:
    """Return SQL of what orders events of one time."""
    return f"tuple(message_id, toUInt8({RANK[scope.tables[0]]}))"


def of_keys(plan: Plan, series: int, span: Span, *, held: Column | None = None, history: bool = False) -> str:
    """Return a SELECT of `actor` and `periods` (Array(UInt16), ascending: the numbers, from 0, of the span's periods in
    which the key has an event of the series), and of `g`, with `held`: that of the key's first event that is read.

    Read are the events of the span; with `history` also all before, and `first` (Int64, milliseconds) is the time of
    the key's first. Keys are put together as rows name them, and each is resolved once.
    """
    columns: dict[str, Column] = {} if held is None else {"g": held, "place": place}
    events = plan.events(series, None if history else span.bounds[0], span.end, columns)
    own, merged = _sets("ts", span.bounds, history=history)
    if history:
        own.append("min(ts) AS own_first")
        merged.append("min(own_first) AS first")
    if held is not None:
        own += ["argMin(g, (ts, place)) AS own_g", "min((ts, place)) AS at"]
        merged.append("argMin(own_g, at) AS g")
    grouped = f"SELECT actor AS own, {', '.join(own)} FROM ({events}) GROUP BY own"
    return f"SELECT {plan.subject.resolve('own')} AS actor, {', '.join(merged)} FROM ({grouped}) GROUP BY actor"


def _sets(ts: str, bounds: Sequence[datetime], *, history: bool) -> tuple[list[str], list[str]]:
    """Return the aggregates that make the set of an own key, and of a key from those of its own ones."""
    begin = f"toInt64({sql.integer(buckets.milliseconds(bounds[0]))})"
    number = bucket_of(f"greatest({ts}, {begin})" if history else ts, bounds)
    only, inside = ("If", f", {ts} >= {begin}") if history else ("", "")
    bits = next((width for width in _WIDTHS if len(bounds) - 1 <= width), None)
    if bits is None:
        return (
            [f"groupUniqArray{only}({number}{inside}) AS own_periods"],
            ["arraySort(groupUniqArrayArray(own_periods)) AS periods"],
        )
    return (
        [f"groupBitOr{only}(bitShiftLeft(toUInt{bits}(1), {number}){inside}) AS own_periods"],
        ["CAST(bitPositionsToArray(groupBitOr(own_periods)), 'Array(UInt16)') AS periods"],
    )
