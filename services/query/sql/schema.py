"""The operation `query.sql_schema`: what statements may name, for completion and hover."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from contracts.common import TABLES, Facts, TableName
from contracts.sql import SqlPath, SqlSchema, SqlSchemaColumn, SqlSchemaGet, SqlSchemaTable
from services.kit import sql
from services.kit.service import RequestContext
from services.kit.statements import limits
from services.query.resources import Resources
from services.query.sql.functions import COMBINATORS, groups
from services.query.sql.tables import JSON_COLUMNS, VISIBLE, physical

SAMPLED: Final = 5_000
"""Rows of a table that are looked at for paths."""
_PATHS: Final = 500
_EXAMPLE_CHARACTERS: Final = 100
_SECONDS: Final = 10.0
_Paths = dict[tuple[str, str], list[SqlPath]]
"""Of each table and JSON column."""


async def sql_schema(resources: Resources, request: SqlSchemaGet, context: RequestContext) -> SqlSchema:
    """Answer `query.sql_schema`.

    Raises:
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    await resources.schema.passed()
    query_id = uuid.uuid4().hex
    result = await resources.clickhouse.query(
        paths_sql(context.workspace),
        settings=limits(resources.settings),
        query_id=query_id,
        timeout=min(context.remaining(), _SECONDS),
    )
    paths: _Paths = defaultdict(list)
    for table, column, path, types, example in zip(*result.data, strict=True) if result.data else ():
        shown = SqlPath(path=_text(path), types=tuple(map(_text, types)), example=_text(example))
        paths[_text(table), _text(column)].append(shown)
    return SqlSchema(
        tables=tuple(
            SqlSchemaTable(
                name=name,
                columns=tuple(
                    SqlSchemaColumn(name=column, type=type_, paths=tuple(paths.get((name, column), ())))
                    for column, type_ in table.columns.items()
                ),
            )
            for name, table in VISIBLE.items()
        ),
        functions={group: tuple(names) for group, names in groups().items()},
        combinators=COMBINATORS,
        sampled=SAMPLED,
        meta=Facts(
            rows_read=result.rows_read, bytes_read=result.bytes_read, as_of=datetime.now(UTC), query_id=query_id
        ),
    )


def paths_sql(workspace: UUID) -> str:
    """Return SQL of the paths in the JSON columns of some of a workspace's rows, the commonest of each column first.

    Columns: table, column, path (text), types (array of texts), example (text).
    """
    selects = [
        _paths_of(workspace, table, column)
        for table in TABLES
        for column in VISIBLE[f"events_{table}"].columns
        if column in JSON_COLUMNS
    ]
    return f"SELECT t, c, path, types, example FROM ({' UNION ALL '.join(selects)}) ORDER BY t, c, seen DESC, path"


def _paths_of(workspace: UUID, table: TableName, column: str) -> str:
    rows = f"SELECT {column} FROM {physical(table)} PREWHERE workspace_id = {sql.uuid(workspace)} LIMIT {SAMPLED}"
    pairs = f"arrayZip(JSONAllPaths({column}), JSONAllValues({column}))"
    return (
        f"SELECT {sql.string(f'events_{table}')} AS t, {sql.string(column)} AS c, pair.1 AS path, "
        "arraySort(groupUniqArray(toString(kinds[pair.1]))) AS types, "
        f"substringUTF8(any(pair.2), 1, {_EXAMPLE_CHARACTERS}) AS example, count() AS seen "
        f"FROM (SELECT JSONAllPathsWithTypes({column}) AS kinds, {pairs} AS pairs FROM ({rows})) "
        f"ARRAY JOIN pairs AS pair WHERE pair.2 != '' GROUP BY path ORDER BY seen DESC LIMIT {_PATHS}"
    )


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
