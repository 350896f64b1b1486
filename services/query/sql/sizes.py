"""How much a statement would read: the rows that the engine expects, and the sizes of the columns that it names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.sql import SqlTableEstimate
from services.kit import sql
from services.kit.event_schema import DATABASE

_TABLE: Final = re.compile(r"^ *TABLE id: (\d+),(?: alias: .*,)? table_name: (\S+?)(?:, .*)?$")
_COLUMN: Final = re.compile(r"^ *COLUMN id: \d+, column_name: (.+), result_type: .*, source_id: (\d+)$")
SAMPLED: Final = 10_000
"""Rows that are looked at for the sizes of columns where no part tells them."""
_LOCAL: Final = "_local"
"""What the tables behind Distributed ones are called besides."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes a row, uncompressed: of each column, each subcolumn with a type of its own, and a whole row."""

    columns: Mapping[str, float]
    row: float

    def of(self, name: str) -> float:
        """Return the bytes of a column, or of a path of one: at most the whole object where no more is known."""
        if not self.columns:
            return self.row
        return self.columns.get(name, self.columns.get(name.partition(".")[0], 0.0))


def sizes_sql(tables: Collection[str]) -> str:
    """Return SQL of the columns' sizes as wide parts tell them; of compact ones, which are small, none are kept.

    Columns: table, name (of a column, or of a path with a type of its own; '' for a whole row), bytes a row.
    """
    there = f"active AND rows > 0 AND database = {sql.string(DATABASE)}"
    there += f" AND table IN ({', '.join(map(sql.string, tables))})"
    wide = f"WHERE {there} AND part_type = 'Wide'"
    # A path is stored as several streams: its values, where it is null, how long its texts are.
    path = "concat(column, '.', replaceRegexpOne(stream.1, '\\\\.(null|size)$', ''))"
    of_each_part = (
        f"SELECT table, {path} AS path, name, sum(stream.2) AS size, any(rows) AS part_rows FROM system.parts_columns "
        f"ARRAY JOIN arrayZip(subcolumns.names, subcolumns.data_uncompressed_bytes) AS stream {wide} "
        "GROUP BY table, path, name"
    )
    selects = (
        f"SELECT table, '', sum(data_uncompressed_bytes) / sum(rows) FROM system.parts WHERE {there} GROUP BY table",
        "SELECT table, column, sum(column_data_uncompressed_bytes) / sum(rows) FROM system.parts_columns "
        f"{wide} GROUP BY table, column",
        f"SELECT table, path, sum(size) / sum(part_rows) FROM ({of_each_part}) GROUP BY table, path",
    )
    return " UNION ALL ".join(selects)


def sampled_sql(table: str, columns: Sequence[str], workspace: UUID | None) -> str:
    """Return SQL of the columns' sizes in some rows of a workspace, or of any: a row of an average each, in the order
    given."""
    sizes = ", ".join(f"byteSize({sql.identifier(name)}) AS size_{at}" for at, name in enumerate(columns))
    those = "" if workspace is None else f" WHERE workspace_id = {sql.uuid(workspace)}"
    of_each = f"SELECT {sizes} FROM {DATABASE}.{table}{those} LIMIT {SAMPLED}"
    return f"SELECT {', '.join(f'avg(size_{at})' for at in range(len(columns)))} FROM ({of_each})"


def columns_read(tree: Sequence[str]) -> dict[str, list[set[str]]]:
    """Return, of each table that `EXPLAIN QUERY TREE` names, the columns read each time that it is read."""
    tables = {found[1]: found[2] for line in tree if (found := _TABLE.match(line))}
    columns: defaultdict[str, set[str]] = defaultdict(set)
    for line in tree:
        if (found := _COLUMN.match(line)) and found[2] in tables:
            columns[found[2]].add(found[1])
    reads: defaultdict[str, list[set[str]]] = defaultdict(list)
    for source, table in tables.items():
        if table.startswith(f"{DATABASE}."):
            reads[table.removeprefix(f"{DATABASE}.")].append(columns[source])
    return dict(reads)


def estimate(
    table: str, parts: int, rows: int, reads: Sequence[Collection[str]], sizes: Sizes | None
) -> SqlTableEstimate:
    """Return the estimate of a table: `rows` are those of all its `reads` together."""
    bytes_ = None
    if not rows:
        bytes_ = 0
    elif sizes is not None and reads:
        each = [sum(sizes.of(name) for name in columns) for columns in reads]
        bytes_ = round(rows * min(sum(each) / len(each), sizes.row))
    return SqlTableEstimate(table=table.removesuffix(_LOCAL), parts=parts, rows=rows, bytes=bytes_)
