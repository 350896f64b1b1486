"""SQL of one person's events, from the table that holds all of them in the order of actor and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from contracts.common import TABLES, TableName
from services.kit import sql
from services.kit.event_rows import NAME_COLUMN, default_columns, json_object, maybe_wide
from services.kit.predicates import render_column
from services.profile.timeline.frame import Frame
from services.profile.timeline.person import Person

EVENTS: Final = "cdp.events_by_actor"
KEY: Final = "timestamp, message_id, source"
"""What tells an event of a person from all others, and the order of a timeline."""


class Place(NamedTuple):
    """Where an event stands in the order of a timeline; `timestamp`: milliseconds since the epoch."""

    timestamp: int
    message_id: bytes
    source: TableName


def theirs(person: Person, frame: Frame, names: Sequence[str] = ()) -> str:
    """Return the condition on events: of the person, the tables and names asked for, and the range. Its statement takes
    `person.external`. An event that was sent twice may have two rows, of which the highest `version` counts."""
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


def rows_sql(condition: str, frame: Frame, *, newest: bool, after: Place | None, limit: int) -> str:
    """Return the first `limit` rows behind `after` in the order of the timeline. Columns: `row` (JSON text), `wide` (it
    may hold integers beyond 2^53), the three of `Place`, `version`."""
    direction, compare = (" DESC", "<") if newest else ("", ">")
    if after is not None:
        moment = instant(after.timestamp)
        place = f"({moment}, {_text(after.message_id)}, {sql.string(after.source)})"
        # The time alone as well: by it whole months are passed over.
        condition += f" AND timestamp {compare}= {moment} AND ({KEY}) {compare} {place}"
    columns = default_columns(frame.tables)
    values = _values(columns, frame)
    row = json_object(columns, list(values.values()))
    wide = maybe_wide([values[name] for name in ("properties", "traits", "context") if name in values])
    order = ", ".join(f"{name}{direction}" for name in KEY.split(", "))
    return (
        f"SELECT {row} AS row, {wide} AS wide, toUnixTimestamp64Milli(timestamp) AS ts, message_id, "
        f"toString(source) AS source_name, version FROM {EVENTS} PREWHERE {condition} ORDER BY {order} LIMIT {limit}"
    )


def _values(columns: Sequence[str], frame: Frame) -> Mapping[str, str]:
    """Return SQL of the JSON text of each column of a row."""

    def of(table: TableName, value: str) -> str:
        return f"if(source = {sql.string(table)}, {value}, 'null')"

    own = {
        "table": "concat('\"', toString(source), '\"')",
        "event": of("track", "if(name = '', 'null', toJSONString(name))"),
        "name": of("page", "if(name = '', 'null', toJSONString(name))"),
        "properties": "if(source IN ('track', 'page'), object, 'null')",
        "traits": "if(source IN ('identify', 'group'), object, 'null')",
        "context": "context",
    }
    scope = frame.scope("group")  # has a group_id
    return {name: own.get(name) or render_column(name, scope, pointer="").json for name in columns}


def is_moment(milliseconds: int) -> bool:
    """Tell whether a timestamp can be so many milliseconds after the epoch: 1900 to 2299."""
    return -2_208_988_800_000 <= milliseconds <= 10_413_791_999_999


def place_of(timestamp: int, message_id: bytes, source: bytes) -> Place:
    """Return the place that values of those columns are.

    Raises:
        ValueError: there is no such table, or no such time.
    """
    if not is_moment(timestamp):
        raise ValueError("no time of an event")
    return Place(timestamp, message_id, TABLES[TABLES.index(source.decode())])


def instant(milliseconds: int) -> str:
    """Return SQL of an instant so many milliseconds after the epoch."""
    return f"fromUnixTimestamp64Milli({sql.integer(milliseconds)}, 'UTC')"


def moment(milliseconds: int) -> datetime:
    """Return an instant."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _text(value: bytes) -> str:
    """Return bytes, which need not be UTF-8, as a literal."""
    return f"unhex('{value.hex()}')"
