"""What a read-only user may run: one SELECT, SHOW, DESCRIBE, EXISTS or EXPLAIN that stays inside the tables.

The engine's readonly=1 keeps such a connection from writing and from changing settings. It does not stop functions
that read files or call out, so those are refused by the names the engine itself reads in the text (EXPLAIN AST: nothing
is resolved or executed), never by a second parser's opinion of it.
"""

from __future__ import annotations

import json
import re

from .engine import Connection
from .errors import ServerError
from .statements import Kind, Statement

_ROOTS = ("Select", "Describe", "Explain", "Exists", "Show")
_FUNCTION = re.compile(r"^\s*Function (\S+)")

_TABLE_FUNCTIONS = frozenset(
    ["numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "values", "null", "format"]
)
"""The table functions that reach nothing."""

_SCALARS = re.compile(r"^(file|dict\w*|joinget\w*|ai\w+|filesystem\w*|catboost\w*|getclienthttpheader)$")
"""Functions over files, dictionaries, Join tables, remote models and the machine."""


def check(connection: Connection, statement: Statement, table_functions: frozenset[str]) -> None:
    """Raises ServerError 164, or 446 with the function's name. Blocks: call it through ``Engine.run``."""
    kind, count = connection.classify(statement.sql)
    if statement.kind not in (Kind.SELECT, Kind.READ) or kind not in ("READ_ONLY", "UNKNOWN") or count > 1:
        raise _readonly()
    rows = connection.execute("EXPLAIN AST " + statement.sql, "JSONCompactEachRow")
    lines = [str(json.loads(row)[0]) for row in rows.splitlines()]
    if not lines or not lines[0].startswith(_ROOTS):
        raise _readonly()
    if any(line.strip() == "Set" for line in lines):
        raise ServerError(164, "Cannot modify settings in readonly mode")
    for line in lines:
        found = _FUNCTION.match(line)
        if found and ((name := found[1].lower()) in table_functions - _TABLE_FUNCTIONS or _SCALARS.match(name)):
            raise ServerError(446, f"Function {found[1]} is not allowed for a read-only user")


def _readonly() -> ServerError:
    return ServerError(164, "Cannot execute query in readonly mode.")
