"""The plain question as SQL: of each actor the periods with a start and those with a return, as bits of integers."""

from __future__ import annotations

from typing import Final

import msgspec

from services.kit import sql
from services.query.analysis import buckets
from services.query.analysis.retention.events import source_of
from services.query.analysis.retention.plan import Plan

_WIDTHS: Final = (64, 256)
"""Bits of the integers used."""


def suits(plan: Plan) -> bool:
    """Tell whether a question is plain: which periods have a return is all that matters, and they are few enough."""
    request = plan.request
    # Where sessions are cut depends on what is read: starts and returns must be read together.
    together = plan.subject.by != "session" or plan.start.occurrence == plan.returns.occurrence == "any"
    return (
        together
        and not plan.rolling
        and request.min_occurrences == 1
        and request.measure is None
        and request.breakdown is None
        and len(plan.axis) <= _WIDTHS[-1]
    )


def cells_sql(plan: Plan) -> str:
    """Return rows of (row, one count for each column that has begun somewhere)."""
    counts = ["count()", *(f"countIf({_returns(plan, column)})" for column in range(1, begun(plan)))]
    rows = min(plan.rows, len(plan.axis))
    held = f"arrayFilter(r -> bitAnd(bitShiftRight(starts, r), 1) != 0, range({rows}))"
    each = f"SELECT toUInt16(arrayJoin({held})) AS row, bitShiftRight(returns, row) AS later FROM ({_sets(plan)})"
    return f"SELECT row, {', '.join(counts)} FROM ({each}) GROUP BY row"


def actors_sql(plan: Plan, row: int, column: int, *, retained: bool) -> str:
    """Return the actors of a row that count, or do not count, in a column."""
    later = f"SELECT actor, bitShiftRight(returns, {row}) AS later FROM ({_sets(plan)})"
    cohort = f"{later} WHERE bitAnd(bitShiftRight(starts, {row}), 1) != 0"
    counts = _returns(plan, column) if column else "1"
    return f"SELECT actor FROM ({cohort}) WHERE {counts if retained else f'NOT ({counts})'}"


def begun(plan: Plan) -> int:
    """Return how many columns have begun in the first row, and so may have in any."""
    return sum(plan.has_begun(0, column) for column in range(len(plan.spans)))


def _returns(plan: Plan, column: int) -> str:
    """Return a condition on `later`, the periods with a return counted from the row's own: some are in the column."""
    first, last = plan.spans[column]
    if plan.request.on_or_after:
        return f"bitShiftRight(later, {first}) != 0"
    bits = (1 << min(last + 1, _width(plan))) - (1 << first)
    return f"bitAnd(later, {_integer(bits, plan)}) != 0"


def _sets(plan: Plan) -> str:
    """Return a SELECT of `actor`, `starts` and `returns`: bit p is set when the actor has one in period p."""
    rows = _integer((1 << plan.rows) - 1, plan)
    return (
        f"SELECT {plan.subject.resolve('own')} AS actor, {_starts_of_all(plan, rows)} AS starts, "
        f"groupBitOr(own_returns) AS returns FROM ({_own_sets(plan)}) GROUP BY actor HAVING starts != 0"
    )


def _own_sets(plan: Plan) -> str:
    """Return the same for each key before identities are resolved. First starts are times still: only the earliest of
    all of an actor's keys is meant."""
    returns = f"groupBitOr(if(is_return, {_bit('ts', plan)}, {_integer(0, plan)})) AS own_returns"
    starts = f"groupBitOr(if(is_start, {_bit('ts', plan)}, {_integer(0, plan)})) AS own_starts"
    if _firsts(plan):
        starts = "minIf(ts, is_start) AS own_starts, max(is_start) AS started"
    return f"SELECT actor AS own, {starts}, {returns} FROM ({_events(plan)}) GROUP BY own"


def _starts_of_all(plan: Plan, rows: str) -> str:
    if not _firsts(plan):
        return f"bitAnd(groupBitOr(own_starts), {rows})"
    first = "minIf(own_starts, started)"
    begin = sql.integer(buckets.milliseconds(plan.begin))
    inside = f"max(started) AND {first} >= {begin} AND {first} < {sql.integer(plan.starts_until)}"
    return f"if({inside}, {_bit(first, plan)}, {_integer(0, plan)})"


def _firsts(plan: Plan) -> bool:
    """Tell whether the earliest time alone says which start is meant."""
    return plan.start.occurrence == "first" and plan.start.having is None


def _events(plan: Plan) -> str:
    """Return a SELECT of `actor`, `ts`, `is_start`, `is_return`."""
    start = msgspec.structs.replace(plan.start, occurrence="any") if _firsts(plan) else plan.start
    since = None if _firsts(plan) else plan.begin
    if start.occurrence == "any" and msgspec.structs.replace(start, label=plan.returns.label) == plan.returns:
        source = source_of(plan, [start], start=since, end=plan.end, resolved=False)
        again = f"ts >= {sql.integer(buckets.milliseconds(plan.begin))}" if _firsts(plan) else "1"
        return f"SELECT actor, ts, s0 AS is_start, s0 AND {again} AS is_return FROM ({source})"
    if not _firsts(plan) and start.occurrence == plan.returns.occurrence == "any":
        source = source_of(plan, [start, plan.returns], start=since, end=plan.end, resolved=False)
        return f"SELECT actor, ts, s0 AS is_start, s1 AS is_return FROM ({source})"
    starts = source_of(plan, [start], start=since, end=plan.end_of_starts, resolved=False)
    returns = source_of(plan, [plan.returns], start=plan.begin, end=plan.end, resolved=False)
    return (
        f"SELECT actor, ts, toUInt8(1) AS is_start, toUInt8(0) AS is_return FROM ({starts}) WHERE s0 UNION ALL "
        f"SELECT actor, ts, toUInt8(0) AS is_start, toUInt8(1) AS is_return FROM ({returns}) WHERE s0"
    )


def _bit(ts: str, plan: Plan) -> str:
    return f"bitShiftLeft({_integer(1, plan)}, {buckets.index_of(ts, plan.axis)})"


def _width(plan: Plan) -> int:
    return next(width for width in _WIDTHS if len(plan.axis) <= width)


def _integer(value: int, plan: Plan) -> str:
    # Literals of more than 64 bits would be read as floats.
    return f"toUInt{_width(plan)}('{value & ((1 << _width(plan)) - 1)}')"
