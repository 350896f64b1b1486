"""SQL of one person's events: their places, from the table ordered by actor, then the columns of a page's rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from contracts.common import TableName
from services.kit import sql
from services.kit.event_rows import NAME_COLUMN, default_columns, json_object, maybe_wide
from services.kit.predicates import render_column
from services.profile.timeline.frame import Frame
from services.profile.timeline.person import Person

PLACES: Final = "cdp.events_by_actor"
COLUMNS: Final = "toUnixTimestamp64Milli(timestamp) AS ts, mid, toString(source) AS source_name, name, actor_key"
"""Of a place."""
_KEY: Final = ("timestamp", "mid", "source")


class Place(NamedTuple):
    """Where an event stands in the order of a timeline, (`timestamp`, `mid`, `source`), and where its row is.
    `timestamp`: milliseconds since the epoch."""

    timestamp: int
    mid: int
    source: TableName
    name: bytes
    actor_key: int


def place_of(row: Sequence[Any]) -> Place:
    """Return the place that a row of `COLUMNS` is."""
    timestamp, mid, source, name, actor_key = row
    return Place(timestamp, mid, source.decode(), name, actor_key)


def theirs(person: Person, frame: Frame, names: Sequence[str] = ()) -> str:
    """Return the condition on places: of the person, the tables and names asked for, and the range. Its statement takes
    `person.external`."""
    conditions = [
        f"workspace_id = {sql.uuid(frame.workspace)}",
        person.condition(frame.blocked),
        f"timestamp < {sql.datetime64(frame.end)}",
    ]
    if frame.start is not None:
        conditions.append(f"timestamp >= {sql.datetime64(frame.start)}")
    tables = [table for table in frame.tables if not names or table in NAME_COLUMN]
    conditions.append(f"source IN ({', '.join(map(sql.string, tables))})")
    if names:
        conditions.append(f"name IN ({', '.join(map(sql.string, names))})")
    return " AND ".join(conditions)


def places_sql(condition: str, *, newest: bool, after: tuple[int, int, TableName] | None, limit: int) -> str:
    """Return the first `limit` places behind `after` in the order of the timeline; of an event sent twice there
    may be several, one behind the other. Columns: those of `Place`."""
    direction, compare = (" DESC", "<") if newest else ("", ">")
    if after is not None:
        timestamp, mid, source = after
        place = f"({instant(timestamp)}, toUInt64({mid}), {sql.string(source)})"
        # The time alone as well: by it whole months are passed over.
        condition += f" AND timestamp {compare}= {instant(timestamp)} AND (timestamp, mid, source) {compare} {place}"
    order = ", ".join(f"{name}{direction}" for name in _KEY)
    return f"SELECT {COLUMNS} FROM {PLACES} PREWHERE {condition} ORDER BY {order} LIMIT {limit}"


def rows_sql(places: Sequence[Place], frame: Frame) -> str:
    """Return the rows at some places, in no order, several for an event that was sent twice: the one with the highest
    `version` counts. Columns: `row` (JSON text), `wide` (it may hold integers beyond 2^53), `ts`, `mid`, `source`,
    `version`."""
    columns = default_columns(frame.tables)
    selects = []
    for table in frame.tables:
        here = [place for place in places if place.source == table]
        if not here:
            continue
        rendered = [render_column(name, frame.scope(table), pointer=f"/columns/{name}") for name in columns]
        row = json_object(columns, [column.json for column in rendered])
        wide = maybe_wide([column.json for column in rendered if column.wide])
        selects.append(
            f"SELECT {row} AS row, {wide} AS wide, toUnixTimestamp64Milli(timestamp) AS ts, mid, "
            f"{sql.string(table)} AS source, version {at(here, table, frame)}"
        )
    return " UNION ALL ".join(selects)


def at(places: Sequence[Place], table: TableName, frame: Frame) -> str:
    """Return FROM and PREWHERE of the rows of one table at some places."""
    column = NAME_COLUMN.get(table)
    key = ", ".join(([column] if column else []) + ["actor_key", "timestamp", "mid"])
    tuples = ", ".join(
        f"({f'{_text(place.name)}, ' if column else ''}toUInt64({place.actor_key}), {instant(place.timestamp)}, "
        f"toUInt64({place.mid}))"
        for place in places
    )
    first, last = (instant(edge(places).timestamp) for edge in (min, max))
    return (
        f"FROM events_{table} PREWHERE workspace_id = {sql.uuid(frame.workspace)} "
        f"AND timestamp BETWEEN {first} AND {last} AND ({key}) IN ({tuples})"
    )


def instant(milliseconds: int) -> str:
    """Return SQL of an instant so many milliseconds after the epoch."""
    return f"fromUnixTimestamp64Milli({sql.integer(milliseconds)}, 'UTC')"


def _text(name: bytes) -> str:
    """Return a name as a literal: it need not be UTF-8."""
    try:
        return sql.string(name.decode())
    except UnicodeDecodeError:
        return f"unhex('{name.hex()}')"


def moment(milliseconds: int) -> datetime:
    """Return an instant."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
