"""Wall 1: from a user's text to the statement that the engine gets, in one pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from contracts.errors import InvalidRequest
from services.kit.identity import Blocked
from services.query.sql import clock, refused
from services.query.sql.check import check
from services.query.sql.dialect import Sql
from services.query.sql.membership import write_out
from services.query.sql.nodes import within
from services.query.sql.parameters import bind
from services.query.sql.rewrite import Rewritten, json_paths, rewrite
from services.query.sql.scan import scan

_EXPLAIN: Final = "EXPLAIN"
_DESCRIBE: Final = ("DESCRIBE", "DESC")
_BEGINNINGS: Final = (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN, TokenType.FROM)
_NAMES: Final = (TokenType.VAR, TokenType.IDENTIFIER)
_EXPECTED: Final = "a statement is a SELECT, or EXPLAIN [PLAN] or DESCRIBE of one"


def prepare(
    text: str, workspace: UUID, blocked: Blocked | None, values: Mapping[str, Any], as_of: datetime | None = None
) -> Rewritten:
    """Return what to run for a statement over the workspace's own rows: SELECT, EXPLAIN [PLAN] of one, or DESCRIBE of
    one or of a table. `as_of`: its clock, None for the engine's.

    Takes some milliseconds for a page of SQL and at most some hundred for the longest text: not for an event loop.

    Raises:
        InvalidRequest: the statement is not one of these; names the construct and its line and column.
    """
    tokens = scan(text)
    first = tokens[0].text.upper()
    explained, described = first == _EXPLAIN, first in _DESCRIBE
    if explained or described:
        word = "PLAN" if explained else "TABLE"
        tokens = tokens[2:] if len(tokens) > 1 and tokens[1].text.upper() == word else tokens[1:]
    if described and len(tokens) == 1 and tokens[0].token_type in _NAMES:
        root = _all_of(tokens[0])
    elif tokens and tokens[0].token_type in _BEGINNINGS:
        root = _parse(text, tokens)
    else:
        raise refused.at(text, tokens[0].start if tokens else None, _EXPECTED)
    try:
        nodes = within(root)
        if write_out(nodes):
            nodes = within(root)
        check(text, nodes)
        bind(text, nodes, values)
        if as_of is not None:
            clock.fix(nodes, as_of)
        rewritten = rewrite(text, root, workspace, blocked, json_paths(nodes))
    except RecursionError as error:
        raise _too_deep() from error
    if described:
        return replace(rewritten, sql=f"SELECT * FROM ({rewritten.sql}) LIMIT 0", described=True)
    return replace(rewritten, explained=explained)


def _all_of(name: Token) -> exp.Expr:
    """Return the SELECT of all columns of a table."""
    table = exp.to_identifier(name.text, quoted=True)
    table.update_positions(name)
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Table(this=table)))


def _parse(text: str, tokens: list[Token]) -> exp.Expr:
    try:
        found = [each for each in Sql().parser().parse(tokens, text) if each is not None]
    except ParseError as error:
        raise _unread(text, error) from error
    except RecursionError as error:
        raise _too_deep() from error
    except Exception as error:  # of some texts that are no SQL the parser fails in its own code
        raise InvalidRequest.at(refused.POINTER, "the statement cannot be read") from error
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        raise refused.at(text, tokens[0].start, _EXPECTED)
    return found[0]


def _unread(text: str, error: ParseError) -> InvalidRequest:
    for each in error.errors:
        line, column = each.get("line"), each.get("col")
        if line and column:
            lines = text.split("\n")
            start = sum(len(one) + 1 for one in lines[: line - 1]) + max(column - len(each.get("highlight") or " "), 0)
            near = (each.get("highlight") or "")[:40]
            hint = ": a lambda stands among the arguments of a function, nowhere else" if near == "->" else ""
            return refused.at(text, start, f"the statement cannot be read at {near!r}{hint}")
    return InvalidRequest.at(refused.POINTER, "the statement cannot be read")


def _too_deep() -> InvalidRequest:
    return InvalidRequest.at(refused.POINTER, "the statement is nested too deep")
