"""What a read-only user may run: one SELECT, SHOW, DESCRIBE, EXISTS or EXPLAIN that stays inside the tables.

The engine's readonly=1 keeps such a connection from writing and from changing settings. It does not stop functions
that read files or call out, so those are refused by the names the engine itself reads in the text (EXPLAIN AST: nothing
is resolved or executed), never by a second parser's opinion of it. A user confined to some tables may run a SELECT over
these, or EXPLAIN one, and nothing else.
"""

from __future__ import annotations

import json
import re

from .engine import Connection, Engine
from .errors import ServerError
from .statements import Kind, Statement
from .tokens import literal, scan
from .users import User

_ROOTS = ("Select", "Describe", "Explain", "Exists", "Show")
_FUNCTION = re.compile(r"^\s*Function (\S+)")
_TABLE = re.compile(r"^\s*TableIdentifier (.+?)(?: \(alias .*\))?$")
_RESOLVED = re.compile(
    r"^\s*TABLE id: \d+,(?: alias: .*,)? table_name: (.*?)(?:, (?:final|sample_\w+|temporary_table_name): .*)?$"
)

_TABLE_FUNCTIONS = frozenset(
    ["numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "values", "null", "format"]
)
"""The table functions that reach nothing."""

_SCALARS = re.compile(r"^(file|dict\w*|joinget\w*|ai\w+|filesystem\w*|catboost\w*|getclienthttpheader)$")
"""Functions over files, dictionaries, Join tables, remote models and the machine."""

_OF_THE_QUERY = ("system.one", "_temporary_and_external_tables._tmp_")
"""What a SELECT without FROM reads, and a recursive CTE of itself. Whoever names them is refused before."""

_MEMBERSHIP = re.compile(r"^\s*Function (?:global)?(?:not)?(?:null)?in(?:ignoreset)?\b", re.IGNORECASE)
_EXPLAINED = re.compile(r"^Explain EXPLAIN(?: AST| QUERY TREE| PLAN| ESTIMATE)?(?: \(children \d+\))?$")


def check(engine: Engine, connection: Connection, statement: Statement, user: User) -> None:
    """Raises ServerError 164, 446 with the function's name, or 497 with the table's. Blocks: call it through
    ``Engine.run``."""
    kind, count = connection.classify(statement.sql)
    if statement.kind not in (Kind.SELECT, Kind.READ) or kind not in ("READ_ONLY", "UNKNOWN") or count > 1:
        raise _readonly()
    lines = _explain(connection, "AST", statement.sql)
    if not lines or not lines[0].startswith(_ROOTS):
        raise _readonly()
    if any(line.strip() == "Set" for line in lines):
        raise ServerError(164, "Cannot modify settings in readonly mode")
    # The engine does not say what a transformer applies, and it may be any function.
    if any(line.strip().startswith("ColumnsApplyTransformer") for line in lines):
        raise ServerError(446, "APPLY is not allowed for a read-only user")
    for at, line in enumerate(lines):
        found = _FUNCTION.match(line)
        if found is None or found[1] in user.functions:
            continue
        if (name := found[1].lower()) in engine.table_functions - _TABLE_FUNCTIONS or _SCALARS.match(name):
            raise ServerError(446, f"Function {found[1]} is not allowed for a read-only user")
        # A bare name there is a function of that name to the engine: arrayMap(file, ['/etc/passwd']).
        if found[1] in engine.higher_order and len(given := _arguments(lines, at)) > 1 and _is_name(given[0]):
            raise ServerError(446, f"A function given to {found[1]} by its name is not allowed for a read-only user")
    if user.tables is not None:
        _confine(connection, statement, lines, user.tables)


def _confine(connection: Connection, statement: Statement, lines: list[str], tables: frozenset[str]) -> None:
    """Refuse a statement over other tables. First by what the text names, because resolving runs scalar sub-queries and
    shows their values alone; then by what the names resolved to."""
    if not lines[0].startswith("Select") and not _EXPLAINED.match(lines[0]):
        raise _readonly()
    named = {found[1] for line in lines if (found := _TABLE.match(line))}
    for name in sorted(named):
        if "." in name and name not in tables:
            raise _not_granted(name)
    loose = ", ".join(literal(name) for name in sorted(named) if "." not in name)
    if loose:
        condition = f"database = currentDatabase() AND name IN ({loose})"
        answer = connection.execute(f"SELECT concat(database, '.', name) FROM system.tables WHERE {condition}", "TSV")
        for name in answer.decode("utf-8", "surrogateescape").splitlines():
            if name not in tables:
                raise _not_granted(name)
    if any(_MEMBERSHIP.match(line) and any(map(_is_name, _arguments(lines, at)[1:2])) for at, line in enumerate(lines)):
        raise ServerError(497, "Not enough privileges: the right side of IN must be values or a SELECT")
    for line in _explain(connection, "QUERY TREE", _explained(statement)):
        resolved = _RESOLVED.match(line)
        if resolved is None or resolved[1] in tables or resolved[1].startswith(_OF_THE_QUERY):
            continue
        raise _not_granted(resolved[1])


def _arguments(lines: list[str], at: int) -> list[str]:
    """The first lines of the arguments of the function at a line."""
    depth = len(lines[at]) - len(lines[at].lstrip(" "))
    arguments: list[str] = []
    for below in lines[at + 1 :]:
        level = len(below) - len(below.lstrip(" "))
        if level <= depth:
            break
        if level == depth + 2:
            arguments.append(below.strip())
    return arguments


def _is_name(line: str) -> bool:
    """Whether an argument is a bare name; on the right side of IN the engine takes it for a table."""
    return line.startswith(("Identifier", "TableIdentifier"))


def _explained(statement: Statement) -> str:
    """The SELECT of a SELECT or of an EXPLAIN."""
    if statement.kind is Kind.SELECT:
        return statement.sql
    for token in scan(statement.sql):
        if token.is_word("SELECT", "WITH", "FROM") or token.text == "(":
            return statement.sql[token.start :]
    raise _readonly()


def _explain(connection: Connection, what: str, sql: str) -> list[str]:
    rows = connection.execute(f"EXPLAIN {what} {sql}", "JSONCompactEachRow")
    return [str(json.loads(row)[0]) for row in rows.splitlines()]


def _readonly() -> ServerError:
    return ServerError(164, "Cannot execute query in readonly mode.")


def _not_granted(name: str) -> ServerError:
    return ServerError(497, f"Not enough privileges: to read {name} it must be granted")
