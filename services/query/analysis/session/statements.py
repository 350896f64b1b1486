"""Pure compiler of sessions: a settled request → SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.analysis import BreakdownPart, Group, Series
from contracts.common import TableName
from services.kit import sql
from services.kit.sessions import page_path, split
from services.query.analysis import breakdown as parts
from services.query.analysis import buckets, sessionise
from services.query.analysis.bucketing import bucket_of
from services.query.analysis.session.plan import PAGES, Plan
from services.query.analysis.source import ORDER, Column, Source

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
WHOLE: Final = -1
"""The number of the cell that is the whole range."""
_FIGURES: Final = {
    "sessions": ("count()", "sum(sessions)"),
    "actors": ("uniqExactState(actor)", "uniqExactMerge(actors)"),
    "events": ("sum(size)", "sum(events)"),
    "bounces": ("countIf(size = 1)", "sum(bounces)"),
    "duration": ("sum(end - start)", "sum(duration)"),
    "spread": (
        "quantilesExactInclusiveState(0.5, 0.9)(end - start)",
        "quantilesExactInclusiveMerge(0.5, 0.9)(spread)",
    ),
}
"""How each figure of a cell is taken from sessions, and from the cells it is made of."""


def figures_sql(plan: Plan) -> str:
    """Return rows of the values of the group (one column each, '' for absent), `other`, the number of the interval or
    WHOLE, sessions, actors, events, bounces, summed milliseconds, and [median, p90] of milliseconds."""
    names = _values(plan.parts)
    cell = f"toInt32({bucket_of('start', plan.bounds) if plan.bounds[:-1] else WHOLE})"
    taken = ", ".join(f"{first} AS {name}" for name, (first, _) in _FIGURES.items())
    merged = ", ".join(f"{again} AS {name}" for name, (_, again) in _FIGURES.items())
    group = "".join(f"{name}, " for name in names)
    cells = f"SELECT {group}{cell} AS cell, {taken} FROM ({rows_sql(plan)}) GROUP BY {group}cell"
    folded = f"SELECT toUInt8(0) AS other, * FROM ({cells})" if not names else _folded(cells, plan)
    each = f"SELECT * REPLACE (arrayJoin(arrayDistinct([cell, toInt32({WHOLE})])) AS cell) FROM ({folded})"
    return f"SELECT {group}other, cell, {merged} FROM ({each}) GROUP BY {group}other, cell"


def _folded(cells: str, plan: Plan) -> str:
    """Return the cells of all groups beyond the limit as those of one, flagged."""
    assert plan.request.breakdown is not None
    names = _values(plan.parts)
    group = ", ".join(names)
    beyond = f"place > {plan.request.breakdown.limit}"
    whole = f"SELECT *, sum(sessions) OVER (PARTITION BY {group}) AS total FROM ({cells})"
    placed = f"SELECT *, dense_rank() OVER (ORDER BY total DESC, {group}) AS place FROM ({whole})"
    replaced = ", ".join(f"if({beyond}, '', {name}) AS {name}" for name in names)
    return f"SELECT toUInt8({beyond}) AS other, * EXCEPT (total, place) REPLACE ({replaced}) FROM ({placed})"


def rows_sql(plan: Plan) -> str:
    """Return one row for each session: actor, start, end (milliseconds), size (events), and the values of its group
    (`g0`, …; '' for absent)."""
    payload = _payload(plan)
    columns = "actor, one.1 AS start, one.2 AS end, one.3 AS size"
    if not payload:
        found = sessionise.gathered(_source(plan, plan.tables, {}).sql(), "ts")
        items = ", ".join(split("found", plan.limits))
        each = f"SELECT actor, arrayJoin(sessions) AS one FROM (SELECT actor, {items} FROM ({found}))"
        return f"SELECT {columns} FROM ({each})"
    found = sessionise.arranged(_source(plan, plan.tables, {**ORDER, **payload}).sql(), list(payload))
    items = ", ".join(split("found", plan.limits))
    assert plan.request.breakdown is not None
    values = [_each_value(part, index) for index, part in enumerate(plan.request.breakdown.by)]
    names = ", ".join(f"pair.{index + 2} AS g{index}" for index in range(plan.parts))
    return (
        f"SELECT actor, pair.1.1 AS start, pair.1.2 AS end, pair.1.3 AS size, {names} FROM ("
        f"SELECT actor, arrayJoin(arrayZip(sessions, {', '.join(values)})) AS pair FROM ("
        f"SELECT actor, {', '.join(payload)}, {items}, {sessionise.marks()} AS marks FROM ({found})))"
    )


def selected(plan: Plan, group: Group | None, top: Sequence[Group], interval: datetime | None) -> str:
    """Return a condition on a row of `rows_sql`: in the group (`top`: those that are not `other`), in the interval that
    begins then."""
    conditions = []
    if interval is not None:
        end = plan.bounds[plan.bounds.index(interval) + 1]
        conditions.append(f"start >= {buckets.milliseconds(interval)} AND start < {buckets.milliseconds(end)}")
    if group is not None and (top or not group.other):
        wanted = top if group.other else [group]
        tuples = ", ".join(f"({', '.join(sql.string(value or '') for value in one.values)})" for one in wanted)
        names = f"({', '.join(_values(plan.parts))})"
        conditions.append(f"{names} {'NOT ' if group.other else ''}IN ({tuples})")
    return " AND ".join(conditions) or "1"


def list_sql(rows: str, where: str, *, newest: bool, after: tuple[int, str] | None, limit: int) -> str:
    """Return one row: how many sessions there are, and the first ones behind `after`, (start, key of the actor), as
    tuples of a start to sort by, actor, start, end and size; one more than the limit."""
    key = "-start" if newest else "start"
    behind = "1"
    if after is not None:
        start, actor = after
        behind = f"({key}, actor) > (toInt64({sql.integer(-start if newest else start)}), {actor})"
    found = f"groupArraySortedIf({limit + 1})(({key}, actor, start, end, size), {behind})"
    return f"SELECT count(), {found} FROM ({rows}) WHERE {where}"


def pages_sql(plan: Plan, sessions: Sequence[tuple[str, int, int]]) -> str:
    """Return rows of the place of a session (SQL of its actor, start, end) and the paths of its first and its last page
    event ('' for none); sessions without page events are left out."""
    first, last = min(start for _, start, _ in sessions), max(end for _, _, end in sessions)
    source = replace(_source(plan, ("page",), {**ORDER, "path": page_path}), start=moment(first), end=moment(last + 1))
    starts = ", ".join(
        f"(toUInt32({place}), {actor}, toInt64({sql.integer(start)}), toInt64({sql.integer(end)}))"
        for place, (actor, start, end) in enumerate(sessions)
    )
    each = f"SELECT arrayJoin([{starts}]) AS one"
    shown = f"SELECT one.1 AS place, one.2 AS actor, one.3 AS start, one.4 AS end FROM ({each})"
    return (
        "SELECT place, argMin(path, (ts, message)), argMax(path, (ts, message)) "
        f"FROM ({source.sql()}) AS event ASOF INNER JOIN ({shown}) AS session "
        "ON event.actor = session.actor AND event.ts >= session.start WHERE ts <= end GROUP BY place"
    )


def moment(milliseconds: int) -> datetime:
    """Return the instant so many milliseconds after the epoch."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _values(parts: int) -> list[str]:
    return [f"g{index}" for index in range(parts)]


def _payload(plan: Plan) -> dict[str, Column]:
    """Return what is read of every event to tell a session's group."""
    if plan.request.breakdown is None:
        return {}
    found: dict[str, Column] = {}
    for index, part in enumerate(plan.request.breakdown.by):
        if part in PAGES:
            found["page"] = lambda scope: f"concat('/', {page_path(scope)})" if scope.tables == ("page",) else "''"
        else:
            found[f"v{index}"] = _first_value(part, f"/breakdown/by/{index}")
    return found


def _first_value(part: BreakdownPart, pointer: str) -> Column:
    return lambda scope: f"ifNull({parts.value(part, scope, pointer)}, '')"


def _each_value(part: BreakdownPart, index: int) -> str:
    """Return SQL of an array: a value of the group for each of an actor's `sessions`."""
    if part not in PAGES:
        return f"arrayFilter((value, mark) -> mark, v{index}, marks)"
    pick = "arrayFirst" if part == "entry_page" else "arrayLast"
    each = f"substring({pick}(one -> one != '', visit), 2)"
    return f"arrayMap(visit -> {each}, arraySplit((value, mark) -> mark, page, marks))"


def _source(plan: Plan, tables: tuple[TableName, ...], columns: Mapping[str, Column]) -> Source:
    return Source(
        frame=plan.frame,
        subject=plan.subject,
        series=(Series(table=tables),),
        start=plan.start,
        end=plan.frame.end,
        where=plan.where,
        columns=columns,
        distinct=True,
        pointers=("",),
    )
