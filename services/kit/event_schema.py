"""The event tables as this project reads them: the contract with ingestion, and how a table is held against it.

`deploy/clickhouse/migrations` makes these tables; ingestion may have made them first. A table that differs would give
wrong answers, so services compare at start (`services.kit.event_schema_check`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.common import TableName
from services.kit import sql
from services.kit.identity import BLOCKED_IDS

DATABASE: Final = "cdp"
CONTEXT_PATHS: Final = (
    *("app.name", "app.version"),
    *("campaign.content", "campaign.medium", "campaign.name", "campaign.source", "campaign.term"),
    *("device.id", "device.manufacturer", "device.model", "device.name", "device.type"),
    *("ip", "library.name", "library.version", "locale", "os.name", "os.version"),
    *("page.path", "page.referrer", "page.search", "page.title", "page.url", "timezone", "userAgent"),
)
"""Paths of `context` with a type hint: each is Nullable(String). Whatever was sent there becomes its text, so no value
can make an insert fail. Every other path, and all of properties and traits, is Dynamic."""

_BLOCKED: Final = f"({', '.join(map(sql.string, BLOCKED_IDS))})"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type as ClickHouse prints it, and for columns of ours the expression that makes it."""

    name: str
    type: str
    expression: str = ""

    @property
    def definition(self) -> str:
        """Its definition in a CREATE or ALTER statement."""
        return f"{self.name} {self.type}" + (f" MATERIALIZED {self.expression}" if self.expression else "")


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of a table: columns by name, and the rest as `system.tables` prints it."""

    columns: Mapping[str, Column]
    engine: str
    sorting_key: str
    partition_key: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a table, and the statement that puts it right."""

    table: str
    what: str
    statement: str


_JSON: Final = "JSON(max_dynamic_paths=64)"
_CONTEXT: Final = "JSON(max_dynamic_paths=64, {})".format(
    ", ".join(f"{sql.identifier(path) if '.' in path else path} Nullable(String)" for path in CONTEXT_PATHS)
)
_TIME: Final = "DateTime64(3, 'UTC')"
_OWN: Final[Mapping[TableName, tuple[tuple[str, str], ...]]] = {
    "track": (("event", "LowCardinality(String)"), ("properties", _JSON)),
    "identify": (("traits", _JSON), ("traits_null", "Array(String)")),
    "page": (("name", "LowCardinality(String)"), ("properties", _JSON)),
    "group": (("group_id", "String"), ("traits", _JSON), ("traits_null", "Array(String)")),
}
_MATERIALIZED: Final = (
    Column(
        "actor_key",
        "UInt64",
        f"if(user_id IN {_BLOCKED} AND anonymous_id IN {_BLOCKED}, 0, "
        "reinterpretAsUInt64(substring(SHA1(concat(UUIDToNum(workspace_id), "
        f"if(user_id IN {_BLOCKED}, concat('a', anonymous_id), concat('u', user_id)))), 1, 8)))",
    ),
    Column("mid", "UInt64", "sipHash64(message_id)"),
    # The highest version wins a merge: the earliest received_at has it.
    Column("version", "UInt64", "toUInt64(9223372036854775807 - toUnixTimestamp64Milli(received_at))"),
)
_SORTING_KEYS: Final[Mapping[TableName, str]] = {
    "track": "workspace_id, event, actor_key, timestamp, mid",
    "identify": "workspace_id, actor_key, timestamp, mid",
    "page": "workspace_id, name, actor_key, timestamp, mid",
    "group": "workspace_id, actor_key, timestamp, mid",
}
_SETTINGS: Final = (
    "enable_block_number_column = 1, min_age_to_force_merge_seconds = 3600, "
    "min_age_to_force_merge_on_partition_only = 1"
)


def expected(table: TableName) -> Table:
    """Return the contract of one of the four tables."""
    columns = [
        *(Column(name, "String") for name in ("message_id", "user_id", "anonymous_id")),
        *(Column(name, _TIME) for name in ("timestamp", "received_at")),
        *(Column(name, type_) for name, type_ in _OWN[table]),
        Column("context", _CONTEXT),
        *_MATERIALIZED,
    ]
    by_name = {"workspace_id": Column("workspace_id", "UUID")} | {column.name: column for column in columns}
    return Table(by_name, "ReplacingMergeTree(version)", _SORTING_KEYS[table], "toYYYYMM(timestamp)")


def create_statement(table: TableName, name: str) -> str:
    """Return the statement that makes an empty table of the contract on one node; `name` is SQL."""
    contract = expected(table)
    columns = ", ".join(column.definition for column in contract.columns.values())
    return (
        f"CREATE TABLE {name} ({columns}) ENGINE = {contract.engine} PARTITION BY {contract.partition_key} "
        f"ORDER BY ({contract.sorting_key}) SETTINGS {_SETTINGS}"
    )


def compare(table: TableName, name: str, found: Table | None) -> list[Problem]:
    """Return how a table departs from the contract; `name` is its full name, `found` None when there is none."""
    if found is None:
        return [Problem(name, "there is no such table", create_statement(table, name))]
    contract = expected(table)
    problems = [
        problem
        for column in contract.columns.values()
        if (problem := _compare_column(name, column, found.columns.get(column.name)))
    ]
    for what, want, have in (
        ("its engine", contract.engine, _engine(found.engine)),
        ("its sorting key", contract.sorting_key, found.sorting_key),
        ("its partition key", contract.partition_key, found.partition_key),
    ):
        if want != have:
            problems.append(Problem(name, f"{what} is {have}, not {want}", _rebuild(table, name)))
    return problems


def inconsistent_duplicates(table: TableName, workspace: UUID | None = None) -> str:
    """Return SQL of the message ids whose rows differ in what ingestion must send unchanged: ids, time, name.

    Columns: workspace_id, message_id, rows. Empty when the contract is kept. Reads the whole table, or one workspace.
    """
    name = {"track": ", event", "page": ", name"}.get(table, "")
    where = f" WHERE workspace_id = {sql.uuid(workspace)}" if workspace else ""
    return (
        f"SELECT workspace_id, message_id, count() AS rows FROM {DATABASE}.events_{table}{where} "
        "GROUP BY workspace_id, message_id "
        f"HAVING uniqExact(timestamp, user_id, anonymous_id{name}) > 1 ORDER BY workspace_id, message_id"
    )


def _compare_column(table: str, want: Column, have: Column | None) -> Problem | None:
    if have is None:
        return Problem(table, f"column {want.name} is missing", f"ALTER TABLE {table} ADD COLUMN {want.definition}")
    if have.type != want.type:
        what = f"column {want.name} is {have.type}, not {want.type}"
    elif want.expression and _bare(have.expression) != _bare(want.expression):
        what = f"column {want.name} is made by {have.expression or 'the sender'}, not by {want.expression}"
    else:
        return None
    return Problem(table, what, f"ALTER TABLE {table} MODIFY COLUMN {want.definition}")


def _bare(expression: str) -> str:
    """Drop what the server adds and leaves out as it likes when it prints an expression."""
    return re.sub(r"[\s()`]", "", expression)


def _engine(printed: str) -> str:
    """Return a replicated engine as one of a single node: without its path and replica."""
    if matched := re.match(r"^Replicated(\w+)\((?:.*, )?(\w+)\)$", printed):
        return f"{matched[1]}({matched[2]})"
    return printed


def _rebuild(table: TableName, name: str) -> str:
    new = f"{name}_rebuilt"
    columns = ", ".join(column.name for column in expected(table).columns.values() if not column.expression)
    return (
        f"{create_statement(table, new)}; INSERT INTO {new} ({columns}) SELECT {columns} FROM {name}; "
        f"EXCHANGE TABLES {new} AND {name}"
    )
