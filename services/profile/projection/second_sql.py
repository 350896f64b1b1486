"""SQL that holds `events_by_actor` against the event tables it is filled from. Pure.

The views that fill it write after the events have become visible, and not at all when they fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from uuid import UUID

from contracts.common import TABLES, TableName
from services.kit import sql
from services.kit.event_schema import DATABASE, expected

SECOND: Final = f"{DATABASE}.events_by_actor"
_NAMES: Final[Mapping[TableName, str]] = MappingProxyType(
    {"track": "toString(event)", "identify": "''", "page": "toString(name)", "group": "''"}
)
_HELD: Final = "workspace_id, actor_key, timestamp, message_id, toString(name)"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of an event table, those of a `condition` in a `source`; `held`: a condition on the second table."""

    table: TableName
    source: str
    condition: str
    held: str

    @property
    def missing(self) -> str:
        """SQL that gives the rows that the second table does not have: to be continued after SELECT …."""
        held = f"SELECT {_HELD} FROM {SECOND} WHERE {self._held}"
        return f"FROM {self.source} WHERE {self.condition} AND ({_key(self.table)}) GLOBAL NOT IN ({held})"

    @property
    def surplus(self) -> str:
        """A condition on the second table: the row is none of the event table's."""
        known = f"SELECT {_key(self.table)} FROM {self.source} WHERE {self.condition}"
        return f"{self._held} AND ({_HELD}) GLOBAL NOT IN ({known})"

    @property
    def _held(self) -> str:
        return f"{self.held} AND source = {sql.string(self.table)}"


def fresh(table: TableName, source: str, condition: str, keys: tuple[int, int], seen: tuple[int, int]) -> Rows:
    """Return the rows of a condition whose own keys are in a range (first, last), and the time they were `seen` in
    (first, last: milliseconds)."""
    first, last = map(sql.integer, keys)
    condition += f" AND actor_key BETWEEN {first} AND {last} AND actor_key != 0"
    since, until = (f"fromUnixTimestamp64Milli({sql.integer(moment)}, 'UTC')" for moment in seen)
    held = (
        f"(workspace_id, actor_key) GLOBAL IN (SELECT workspace_id, actor_key FROM {source} WHERE {condition}) "
        f"AND timestamp BETWEEN {since} AND {until}"
    )
    return Rows(table, source, condition, held)


def part(table: TableName, workspace: UUID, month: int, keys: tuple[int, int]) -> Rows:
    """Return the rows of a workspace's month (202601) and people whose own keys are in a range (first, last)."""
    first, last = map(sql.integer, keys)
    condition = (
        f"workspace_id = {sql.uuid(workspace)} AND toYYYYMM(timestamp) = {sql.integer(month)} "
        f"AND actor_key BETWEEN {first} AND {last} AND actor_key != 0"
    )
    return Rows(table, f"{DATABASE}.events_{table}", condition, condition)


def missing(rows: Sequence[Rows]) -> str:
    """Return a statement with a row if the second table lacks any."""
    return " UNION ALL ".join(f"(SELECT 1 {each.missing} LIMIT 1)" for each in rows)


def surplus(rows: Rows) -> str:
    """Return a statement with a row if the second table has any that the event table has not, or not yet shown."""
    return f"SELECT 1 FROM {SECOND} WHERE {rows.surplus} LIMIT 1"


def again(rows: Rows) -> str:
    """Return a statement that inserts what is missing again, as its sender should have done, so that the views write
    it. The rows it doubles are the same message, and go with the next merge."""
    columns = ", ".join(column.name for column in expected(rows.table).columns.values() if not column.expression)
    return (
        f"INSERT INTO {DATABASE}.events_{rows.table} ({columns}) SELECT {columns} {rows.missing} "
        f"ORDER BY version DESC LIMIT 1 BY {_key(rows.table)}"
    )


def removed(rows: Rows, month: int, cluster: str) -> str:
    """Return a statement that removes surplus rows of a month. The rows it looks at were there before those of the
    event table that it holds them against, so that none that has just come is taken for surplus."""
    name, on_cluster = (f"{SECOND}_local", f" ON CLUSTER {sql.identifier(cluster)}") if cluster else (SECOND, "")
    return f"DELETE FROM {name}{on_cluster} IN PARTITION ID '{int(month)}' WHERE {rows.surplus}"


def differing(workspace: UUID) -> str:
    """Return a statement for the months in which the tables differ: (table, month, rows of the larger)."""
    own = f"workspace_id = {sql.uuid(workspace)} AND actor_key != 0"
    columns = "toYYYYMM(timestamp) AS month, toInt64(count()) AS rows"
    events = (
        f"SELECT '{table}' AS source, {columns}, groupBitXor(mid) AS ids, 1 AS side "
        f"FROM {DATABASE}.events_{table} FINAL WHERE {own} GROUP BY month"
        for table in TABLES
    )
    second = (
        f"SELECT toString(events_by_actor.source) AS source, {columns}, groupBitXor(sipHash64(message_id)) AS ids, "
        f"2 AS side FROM {SECOND} FINAL WHERE {own} GROUP BY source, month"
    )
    return (
        f"SELECT source, month, max(rows) FROM ({' UNION ALL '.join([*events, second])}) GROUP BY source, month "
        "HAVING sumIf(rows, side = 1) != sumIf(rows, side = 2) OR groupBitXor(ids) != 0 ORDER BY source, month"
    )


def _key(table: TableName) -> str:
    return f"workspace_id, actor_key, timestamp, message_id, {_NAMES[table]}"
