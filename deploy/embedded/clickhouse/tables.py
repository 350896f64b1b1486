"""What a client has to know of a table before it can send the data of an INSERT, and of a result without rows."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .engine import Connection
from .errors import ServerError
from .native import Column
from .statements import Statement
from .tokens import literal, quote, scan, unquote

_IMPLICIT = ("", "DEFAULT")
"""Kinds of default whose columns an INSERT without a column list fills."""


@dataclass(frozen=True)
class _Described:
    name: str
    kind: str
    default: str
    expression: str


def insert_columns(connection: Connection, statement: Statement) -> tuple[list[Column], str]:
    """The columns an INSERT expects, and the target's columns in the text form of the TableColumns packet.

    Blocks. Raises the engine's ServerError for an unknown table, 16 for an unknown column.
    """
    target = statement.table.removeprefix("FUNCTION ")
    rows = _rows(connection.execute(f"DESCRIBE TABLE {target}", "JSONCompactEachRow"))
    table = [_Described(row[0], row[1], row[2], row[3]) for row in rows]
    if statement.columns is None:
        chosen = [(column.name, column.kind) for column in table if column.default in _IMPLICIT]
    else:
        chosen = _named(connection, target, statement.columns, {column.name: column.kind for column in table})
    return chosen, _describe(table)


def result_columns(connection: Connection, sql: str) -> list[Column]:
    """Columns of a SELECT that returned no rows. Blocks."""
    rows = _rows(connection.execute(f"DESCRIBE TABLE (\n{sql}\n)", "JSONCompactEachRow"))
    return [(row[0], row[1]) for row in rows]


def metadata_columns(connection: Connection, sql: str) -> list[Column]:
    """Columns of a SHOW, DESCRIBE and the like that returned no rows. Blocks; runs it again."""
    answer = connection.execute(sql, "JSONCompact")
    return [(column["name"], column["type"]) for column in json.loads(answer)["meta"]] if answer else []


def _named(connection: Connection, target: str, listed: str, kinds: dict[str, str]) -> list[Column]:
    names = [""]
    for token in scan(listed):
        if token.text == ",":
            names.append("")
        elif token.kind in ("word", "quoted") or token.text == ".":
            names[-1] += unquote(token.text)
        else:  # an expression such as * EXCEPT(a): the engine knows what it means
            return result_columns(connection, f"SELECT {listed} FROM {target}")
    unknown = [name for name in names if name not in kinds]
    if unknown:
        raise ServerError(16, f"No such column {unknown[0]} in table {target}", "NO_SUCH_COLUMN_IN_TABLE")
    return [(name, kinds[name]) for name in names]


def _describe(table: list[_Described]) -> str:
    lines = ["columns format version: 1", f"{len(table)} columns:"]
    for column in table:
        line = f"{quote(column.name)} {column.kind}"
        if column.default:
            line += f"\t{column.default}\t{literal(column.expression)[1:-1]}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _rows(answer: bytes) -> list[list[str]]:
    return [json.loads(line) for line in answer.splitlines()]
