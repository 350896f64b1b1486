"""Holding the tables of a server against the contract, at start."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.common import TABLES, TableName
from services.kit import sql
from services.kit.clickhouse import ClickHouse, ClickHouseError
from services.kit.event_schema import DATABASE, Column, Problem, Table, compare
from services.kit.identity import DICTIONARY

_SECONDS: Final = 30.0
_SAMPLED_PARTS: Final = 3
_SAMPLED_ROWS: Final = 100_000
_JSON_COLUMNS: Final[dict[TableName, str]] = {
    "track": "properties",
    "identify": "traits",
    "page": "properties",
    "group": "traits",
}
_ENGINE: Final = re.compile(r"^\w+(?:\(.*?\))?(?= PARTITION BY | ORDER BY | SETTINGS |$)")


class SchemaError(Exception):
    """The tables are not those of the contract; the text lists each difference with the statement to run."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = [f"{problem.table}: {problem.what}; run: {problem.statement}" for problem in problems]
        super().__init__("the event tables are not as they must be:\n  " + "\n  ".join(lines))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Warned:
    """A path of a JSON column whose values were rewritten as times when they were inserted."""

    table: str
    path: str

    def __str__(self) -> str:
        return (
            f"{self.table}: {self.path} holds times that the insert recognised and rewrote to UTC; who inserts must "
            "set input_format_try_infer_dates=0 and input_format_try_infer_datetimes=0"
        )


async def check(clickhouse: ClickHouse, *, cluster: str = "") -> list[Warned]:
    """Compare the four tables and the identity dictionary with the contract. Some milliseconds; reads a sample of the
    newest rows.

    Raises:
        SchemaError: something is missing or differs.
        Unavailable: no server.
    """
    suffix = "_local" if cluster else ""
    problems = await find_problems(clickhouse, suffix)
    if problems:
        raise SchemaError(problems)
    return [warned for table in TABLES for warned in await _rewritten_times(clickhouse, table, suffix)]


async def find_problems(clickhouse: ClickHouse, suffix: str = "") -> list[Problem]:
    """Return every difference; `suffix` follows the tables' names."""
    names = {table: f"events_{table}{suffix}" for table in TABLES}
    found = await read_tables(clickhouse, list(names.values()))
    problems = [
        problem for table, name in names.items() for problem in compare(table, f"{DATABASE}.{name}", found.get(name))
    ]
    try:
        await _rows(clickhouse, f"SELECT dictHas({sql.string(DICTIONARY)}, toUInt64(0))")
    except ClickHouseError as error:
        what = f"the dictionary does not load ({error.name})"
        if error.name == "AUTHENTICATION_FAILED":
            what += ": set clickhouse_dictionary_login, drop the dictionary, and migrate again"
        problems.append(Problem(DICTIONARY, what, f"SYSTEM RELOAD DICTIONARY {DICTIONARY}"))
    return problems


async def read_tables(clickhouse: ClickHouse, names: Sequence[str]) -> dict[str, Table]:
    """Return what the server's catalogue says of the tables that exist, by name."""
    among = f"database = {sql.string(DATABASE)} AND {{}} IN ({', '.join(map(sql.string, names))})"
    columns: dict[str, dict[str, Column]] = {name: {} for name in names}
    for table, name, type_, kind, expression in await _rows(
        clickhouse,
        "SELECT table, name, type, default_kind, default_expression FROM system.columns WHERE " + among.format("table"),
    ):
        columns[table][name] = Column(name, type_, expression if kind == "MATERIALIZED" else "")
    return {
        name: Table(columns[name], found[0] if (found := _ENGINE.match(engine)) else engine, sorting_key, partition_key)
        for name, engine, sorting_key, partition_key in await _rows(
            clickhouse,
            "SELECT name, engine_full, sorting_key, partition_key FROM system.tables WHERE " + among.format("name"),
        )
    }


async def _rewritten_times(clickhouse: ClickHouse, table: TableName, suffix: str) -> list[Warned]:
    name, column = f"events_{table}{suffix}", _JSON_COLUMNS[table]
    newest = (
        f"SELECT name FROM system.parts WHERE database = {sql.string(DATABASE)} AND table = {sql.string(name)} "
        f"AND active ORDER BY modification_time DESC LIMIT {_SAMPLED_PARTS}"
    )
    sample = f"SELECT {column} FROM {DATABASE}.{name} WHERE _part IN ({newest}) LIMIT {_SAMPLED_ROWS}"
    rows = await _rows(
        clickhouse,
        "SELECT arrayJoin(arrayFilter((path, types) -> arrayExists(type -> type LIKE '%Date%', types), "
        "mapKeys(found), mapValues(found))) "
        f"FROM (SELECT distinctJSONPathsAndTypes({column}) AS found FROM ({sample}))",
    )
    return [Warned(f"{DATABASE}.{name}", f"{column}.{path}") for (path,) in rows]


async def _rows(clickhouse: ClickHouse, statement: str) -> list[tuple[Any, ...]]:
    result = await clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=_SECONDS)
    return [
        tuple(value.decode(errors="replace") if isinstance(value, bytes) else value for value in row)
        for row in result.rows()
    ]
