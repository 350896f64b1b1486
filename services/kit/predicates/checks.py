"""What is refused before anything is compiled: trees too big, fields of no table, patterns that RE2 refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import re2

from contracts import predicates as tree
from contracts.common import TableName
from contracts.errors import InvalidRequest
from services.kit.predicates.fields import check_field

MAX_NODES: Final = 1_000
MAX_DEPTH: Final = 100
MAX_VALUES: Final = 20_000
"""Values of `in` and `not_in` in a whole tree."""


def check_predicate(predicate: tree.Predicate, tables: Sequence[TableName], pointer: str = "/where") -> None:
    """Refuse a tree that is too big or asks for a field that none of a request's tables has.

    Raises:
        InvalidRequest: at the JSON Pointer, under `pointer`, of the item that cannot be.
    """
    check_limits(predicate, pointer)
    for field, at in _fields_of_rows(predicate, pointer):
        check_field(field, tables, at)


def check_limits(predicate: tree.Predicate, pointer: str) -> None:
    """Refuse a tree with too many nodes or values, or nested too deep.

    Raises:
        InvalidRequest: at the JSON Pointer of the first node too many.
    """
    nodes = values = 0
    waiting = [(predicate, pointer, 1)]
    while waiting:
        node, at, depth = waiting.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise InvalidRequest.at(at, f"a predicate has at most {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            raise InvalidRequest.at(at, f"a predicate is nested at most {MAX_DEPTH} deep")
        if isinstance(node, tree.In | tree.NotIn):
            values += len(node.value)
            if values > MAX_VALUES:
                raise InvalidRequest.at(f"{at}/value", f"a predicate lists at most {MAX_VALUES} values")
        # Reversed: the first item is looked at first, so the pointer is that of the first node too many.
        waiting += [(child, f"{at}{step}", depth + 1) for child, step in reversed(_children(node))]


def check_pattern(pattern: str, pointer: str) -> str:
    """Return the pattern when the engine's regular expressions can be made of it.

    Raises:
        InvalidRequest: at `pointer`: not RE2, or too large.
    """
    problem = _problem(pattern)
    if problem is not None:
        raise InvalidRequest.at(pointer, f"must be an RE2 pattern: {problem}")
    return pattern


@lru_cache(maxsize=1024)
def _problem(pattern: str) -> str | None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0]
        return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return None


def _children(node: tree.Predicate) -> list[tuple[tree.Predicate, str]]:
    match node:
        case tree.And() | tree.Or():
            return [(item, f"/items/{index}") for index, item in enumerate(node.items)]
        case tree.Not():
            return [(node.item, "/item")]
        case tree.AnyElement() | tree.AllElements():
            return [(node.where, "/where")]
        case _:
            return []


def _fields_of_rows(predicate: tree.Predicate, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield the fields that are those of a row, not of an array's element, with their pointers."""
    waiting = [(predicate, pointer)]
    while waiting:
        node, at = waiting.pop()
        if isinstance(node, tree.And | tree.Or | tree.Not):
            waiting += [(child, f"{at}{step}") for child, step in reversed(_children(node))]
        else:
            yield node.field, f"{at}/field"
