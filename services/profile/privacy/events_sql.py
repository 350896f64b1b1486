"""SQL that takes people out of ClickHouse, by their keys. Pure; repeating a statement does no harm."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from contracts.common import TABLES, TableName
from services.kit import sql
from services.kit.event_schema import DATABASE, expected
from services.kit.identity import DEVICE_KEY, Blocked, own_key

KEYED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "identity_links": ("anonymous_key", "user_key"),
        "identity_merges": ("loser_key", "winner_key"),
        "profile_traits": ("actor_key",),
        "events_by_actor": ("actor_key", "device_key"),
    }
)
"""Tables of ours with the columns that hold keys of people."""


def unnamed(table: TableName, workspace: UUID, keys: Collection[int], blocked: Blocked | None) -> str:
    """Return a statement that writes again, without their anonymous id, the rows that belong to others and name one of
    these anonymous ids: a device that two people used. The rows they replace go with `removed`."""
    columns = [column.name for column in expected(table).columns.values() if not column.expression]
    values = ", ".join("'' AS anonymous_id" if name == "anonymous_id" else name for name in columns)
    # The source is named apart: an alias of the same name would hide the column from the condition.
    condition = f"{_named(keys)} AND NOT {_belongs(keys, blocked)}"
    rows = f"SELECT * FROM {DATABASE}.events_{table} WHERE workspace_id = {sql.uuid(workspace)} AND {condition}"
    return f"INSERT INTO {DATABASE}.events_{table} ({', '.join(columns)}) SELECT {values} FROM ({rows})"


def partitions(table: str, condition: str) -> str:
    """Return a statement that gives the partitions in which a table has rows of a condition. Only these are touched: a
    removal without a partition makes every part of the table anew."""
    return f"SELECT DISTINCT _partition_id FROM {DATABASE}.{table} WHERE {condition}"


def removed(table: str, condition: str, partition: str, *, cluster: str = "") -> str:
    """Return a statement that removes the rows of a condition from one partition of a table."""
    name = f"{table}_local" if cluster else table
    on_cluster = f" ON CLUSTER {sql.identifier(cluster)}" if cluster else ""
    return f"DELETE FROM {DATABASE}.{name}{on_cluster} IN PARTITION ID {sql.string(partition)} WHERE {condition}"


def conditions(workspace: UUID, keys: Collection[int], blocked: Blocked | None) -> dict[str, str]:
    """Return, by table, which rows go: those of these people, and those that name their anonymous ids."""
    mine, listed = f"workspace_id = {sql.uuid(workspace)}", _list(keys)
    events = f"{mine} AND ({_belongs(keys, blocked)} OR {_named(keys)})"
    return {f"events_{table}": events for table in TABLES} | {
        table: f"{mine} AND ({' OR '.join(f'{column} IN {listed}' for column in columns)})"
        for table, columns in KEYED.items()
    }


def some(workspace: UUID, keys: Collection[int], blocked: Blocked | None) -> str:
    """Return a statement that gives a row when any event belongs to one of these people."""
    mine = f"workspace_id = {sql.uuid(workspace)} AND {_belongs(keys, blocked)}"
    tables = " UNION ALL ".join(f"SELECT 1 FROM {DATABASE}.events_{table} WHERE {mine} LIMIT 1" for table in TABLES)
    return f"SELECT * FROM ({tables}) LIMIT 1"


def ids(workspace: UUID, keys: Collection[int], blocked: Blocked | None) -> str:
    """Return a statement that gives the ids on the rows of these people: user_id, anonymous_id."""
    mine = f"workspace_id = {sql.uuid(workspace)} AND {_belongs(keys, blocked)}"
    tables = " UNION ALL ".join(
        f"SELECT DISTINCT user_id, anonymous_id FROM {DATABASE}.events_{table} WHERE {mine}" for table in TABLES
    )
    return f"SELECT DISTINCT user_id, anonymous_id FROM ({tables})"


def _belongs(keys: Collection[int], blocked: Blocked | None) -> str:
    return f"{own_key(blocked)} IN {_list(keys)}"


def _named(keys: Collection[int]) -> str:
    return f"(anonymous_id != '' AND {DEVICE_KEY} IN {_list(keys)})"


def _list(keys: Collection[int]) -> str:
    return f"({', '.join(f'toUInt64({key})' for key in sorted(keys))})"
