"""Wall 1, first half: every node of a parsed statement is one of those allowed, and calls only allowed functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from sqlglot import exp

from services.query.sql import refused
from services.query.sql.functions import HIGHER_ORDER, TABLE_FUNCTIONS_TOO, WITHOUT_BRACKETS, is_allowed
from services.query.sql.nodes import CALLS, NAMES, NODES, PARTS, TYPES

TABLE_FUNCTIONS: Final = frozenset(("numbers", "view"))
MAX_NUMBERS: Final = 1_000_000
"""Rows that `numbers(…)` may make."""
_PARTS: Final = {
    "into": "INTO",
    "settings": "SETTINGS",
    "format": "FORMAT",
    "sample": "SAMPLE",
    "locks": "FOR UPDATE",
    "hint": "a hint",
    "db": "a database before a table's name",
    "catalog": "a database before a table's name",
    "laterals": "LATERAL",
    "pivots": "PIVOT",
    "materialized": "MATERIALIZED",
    "connect": "CONNECT BY",
}
_SCALARS_ALONE: Final = (exp.Column, exp.Dot, exp.Identifier, exp.Placeholder, exp.Table)


def check(text: str, nodes: Iterable[exp.Expr]) -> None:
    """Refuse the first thing, in reading order as far as places are known, that is not allowed. `nodes`: all of them.

    Raises:
        InvalidRequest: names the construct and its line and column.
    """
    problems = list(_problems(nodes))
    if not problems:
        return
    placed = [(refused.offset_of(node), message) for node, message in problems]
    first = min(placed, key=lambda each: len(text) if each[0] is None else each[0])
    raise refused.at(text, *first)


def _problems(nodes: Iterable[exp.Expr]) -> Iterator[tuple[exp.Expr, str]]:
    for node in nodes:
        kind = type(node)
        if kind not in NODES:
            yield node, f"{NAMES.get(kind, kind.__name__)} is not supported"
            continue
        allowed = PARTS.get(kind)
        if allowed is not None:
            for part, value in node.args.items():
                if value and part not in allowed:
                    yield _first(value, node), f"{_PARTS.get(part, part.upper())} is not supported here"
        if (of_its_kind := _OF_KIND.get(kind)) is not None:
            yield from of_its_kind(node)


def _first(value: object, node: exp.Expr) -> exp.Expr:
    found = value[0] if isinstance(value, list) else value
    return found if isinstance(found, exp.Expr) else node


def _call(node: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    name = node.name
    if isinstance(node.parent, exp.Table) and node.arg_key == "this":
        if name not in TABLE_FUNCTIONS:
            yield node, f"the table function {name}() is not available"
        elif name == "numbers":
            yield from _numbers(node)
    elif not is_allowed(name):
        yield node, f"the function {name}() is not available"
    elif name in HIGHER_ORDER and len(node.expressions) > 1:
        function = _bare(node.expressions[0])
        if isinstance(function, exp.Column | exp.Identifier | exp.Dot):
            yield function, f"{name}() takes a function: write a lambda, x -> …"


def _bare(node: exp.Expr) -> exp.Expr:
    """Return what stands within brackets and before an alias."""
    while isinstance(node, exp.Paren | exp.Alias):
        node = node.this
    return node


def _numbers(node: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    values = [each for each in node.expressions if isinstance(each, exp.Literal) and each.this.isdigit()]
    if len(values) != len(node.expressions) or not 1 <= len(values) <= 2:
        yield node, "numbers() takes one or two whole numbers, written as such"
    elif int(values[-1].this) > MAX_NUMBERS or int(values[0].this) > 2**63:
        yield node, f"numbers() makes at most {MAX_NUMBERS:,} rows"


def _membership(node: exp.In) -> Iterator[tuple[exp.Expr, str]]:
    """The right side of IN is a list of values or a SELECT: a bare name there is a table to the engine."""
    field = node.args.get("field")
    listed = [field] if field is not None else node.expressions
    for each in listed:
        value = _bare(each)
        name = value.name if isinstance(value, _SCALARS_ALONE) else None
        if name is not None and not isinstance(value, exp.Placeholder):
            yield each, f"IN {name}: write IN (SELECT … FROM {name}), or has(array, value) for an array"
        elif isinstance(value, CALLS) and value.name.lower() in TABLE_FUNCTIONS_TOO:
            yield each, f"{value.name}() may not stand on the right side of IN"
        elif field is not None and not isinstance(value, exp.Array | exp.Tuple | exp.Literal | exp.Placeholder):
            yield each, "the right side of IN must be a list of values or a SELECT"


def _type(node: exp.DataType) -> Iterator[tuple[exp.Expr, str]]:
    name = node.this.value if isinstance(node.this, exp.DType) else str(node.this)
    if name not in TYPES:
        yield node, f"the type {name} is not available"


def _column(node: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    name = node.name
    if name.lower() in WITHOUT_BRACKETS and not node.args.get("table"):
        yield node, f"the name {name} alone is a function to the engine: write table.{name}, or another name"


def _source(node: exp.From | exp.Join) -> Iterator[tuple[exp.Expr, str]]:
    """The parser takes tables for columns within ARRAY JOIN, those of sub-queries included."""
    if isinstance(node, exp.Join) and node.kind == "ARRAY":
        return
    if not isinstance(node.this, exp.Table | exp.Subquery | exp.Final):
        yield node.this, "a table or a sub-query in brackets must stand here"


_OF_KIND: Final[Mapping[type[exp.Expr], Callable[[Any], Iterator[tuple[exp.Expr, str]]]]] = {
    **dict.fromkeys(CALLS, _call),
    exp.Column: _column,
    exp.In: _membership,
    exp.DataType: _type,
    exp.From: _source,
    exp.Join: _source,
}
"""What else is asked of nodes of some kinds; none of them has a subclass on the list of nodes."""
