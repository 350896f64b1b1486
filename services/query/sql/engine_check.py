"""Wall 2: the engine's own reading of the statement it is about to run.

`EXPLAIN AST` says what the engine's parser made of the text, `EXPLAIN QUERY TREE` what its names resolved to. Neither
may hold a table or a function that the rewriting did not put there or let through: a statement that two readers read
differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from contracts.errors import InvalidRequest
from services.query.sql import refused
from services.query.sql.functions import HIGHER_ORDER, OPERATORS, TABLE_FUNCTIONS_TOO, WITHOUT_BRACKETS, is_allowed
from services.query.sql.rewrite import Rewritten

_FUNCTION: Final = re.compile(r"^ *Function (.+?)(?: \(alias .*\))?(?: \(children \d+\))?$")
_IDENTIFIER: Final = re.compile(r"^ *Identifier `?(\w+)`?(?: \(alias .*\))?$")
_TABLE: Final = re.compile(r"^ *TableIdentifier (.+?)(?: \(alias .*\))?$")
_CTE: Final = re.compile(r"__cte\d+\Z")
_MEMBERSHIP: Final = re.compile(r"^ *Function (?:global)?(?:not)?(?:null)?in(?:ignoreset)?\b", re.IGNORECASE)
_RESOLVED_TABLE: Final = re.compile(
    r"^ *TABLE id: \d+,(?: alias: .*,)? table_name: (.*?)(?:, (?:final|sample_\w+|temporary_table_name): .*)?$"
)
_RESOLVED_FUNCTION: Final = re.compile(r"^ *FUNCTION id: \d+, function_name: (.+?), function_type: ")
_RESOLVED_TABLE_FUNCTION: Final = re.compile(r"^ *TABLE_FUNCTION id: \d+,.* table_function_name: (\w+)")
_NO_TABLE: Final = "system.one"
"""What a SELECT without FROM resolves to. Naming it is refused."""
_RECURSIVE: Final = "_temporary_and_external_tables._tmp_"
"""What a recursive CTE reads of itself. Naming it is refused as well."""
_DICTIONARY: Final = "dictGetOrDefault"
_FORBIDDEN: Final = ("Set", "ColumnsApplyTransformer", "Explain", "Describe", "QueryParameter", "InsertQuery")
"""Nodes that a rewritten statement never has."""


def check_ast(lines: Sequence[str], expected: Rewritten) -> None:
    """Hold `EXPLAIN AST` of a rewritten statement against what was written. Nothing has been resolved or run yet.

    Raises:
        InvalidRequest: the engine reads something else.
    """
    if not lines or not lines[0].startswith(("SelectWithUnionQuery", "SelectIntersectExceptQuery")):
        raise _different("a statement of another kind")
    dictionary_calls = 0
    for at, line in enumerate(lines):
        if line.strip().startswith(_FORBIDDEN):
            raise _different(line.split()[0])
        if found := _FUNCTION.match(line):
            dictionary_calls += found[1] == _DICTIONARY
            if not _may_be_called(found[1]) and found[1] not in expected.table_functions:
                raise _different(f"the function {found[1]}()")
            arguments = _arguments(lines, at)
            if _MEMBERSHIP.match(line) and any(_is_table(each) for each in arguments[1:2]):
                raise _different("a table on the right side of IN")
            if found[1] in HIGHER_ORDER and len(arguments) > 1 and _is_name(arguments[0]):
                raise _different(f"a function given to {found[1]}() by its name")
        elif (found := _IDENTIFIER.match(line)) and found[1].lower() in WITHOUT_BRACKETS:
            raise _different(f"the function {found[1]}()")
        elif (found := _TABLE.match(line)) and found[1] not in expected.tables and not _CTE.match(found[1]):
            raise _different(f"the table {found[1]}")
    if dictionary_calls != expected.dictionary_calls:
        raise _different(f"the function {_DICTIONARY}()")


def check_tree(lines: Sequence[str], expected: Rewritten) -> None:
    """Hold `EXPLAIN QUERY TREE` of a rewritten statement against what was written.

    Raises:
        InvalidRequest: the engine found something else.
    """
    if not lines:
        raise _different("nothing")
    for line in lines:
        if found := _RESOLVED_TABLE.match(line):
            if found[1] not in expected.tables and found[1] != _NO_TABLE and not found[1].startswith(_RECURSIVE):
                raise _different(f"the table {found[1]}")
        elif found := _RESOLVED_FUNCTION.match(line):
            if not _may_be_called(found[1]) and not found[1].startswith("__"):
                raise _different(f"the function {found[1]}()")
        elif (found := _RESOLVED_TABLE_FUNCTION.match(line)) and found[1] not in expected.table_functions:
            raise _different(f"the table function {found[1]}()")


def _may_be_called(name: str) -> bool:
    return name in OPERATORS or name == _DICTIONARY or is_allowed(name)


def _arguments(lines: Sequence[str], at: int) -> list[str]:
    """Return the first lines of the arguments of the function at a line."""
    depth = _depth(lines[at])
    arguments = []
    for below in lines[at + 1 :]:
        level = _depth(below)
        if level <= depth:
            break
        if level == depth + 2:
            arguments.append(below.strip())
    return arguments


def _is_name(line: str) -> bool:
    return line.startswith(("Identifier", "TableIdentifier"))


def _is_table(line: str) -> bool:
    called = _FUNCTION.match(line)
    return _is_name(line) or (called is not None and called[1].lower() in TABLE_FUNCTIONS_TOO)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _different(what: str) -> InvalidRequest:
    return InvalidRequest.at(refused.POINTER, f"the engine reads {what} in the statement, which is not available")
