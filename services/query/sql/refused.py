"""What is said of a statement that is not let through: what it is, and where."""

from __future__ import annotations

from sqlglot import exp

from contracts.errors import InvalidRequest

POINTER = "/query"
"""Where the statement stands in the request."""


def at(text: str, offset: int | None, message: str) -> InvalidRequest:
    """Return the error for a construct at a character of the statement, None when its place is not known."""
    if offset is None:
        return InvalidRequest.at(POINTER, message)
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return InvalidRequest.at(POINTER, f"line {line}, column {column}: {message}")


def offset_of(node: exp.Expr) -> int | None:
    """Return where a node begins: the parser marks names, and a construct begins near the first within it."""
    marks = [found.meta["start"] for found in node.walk() if found.meta.get("start") is not None]
    return min(marks, default=None)
