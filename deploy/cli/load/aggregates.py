"""Expressions over groups of rows: what is kept of a group while its rows pass.

`round(sum(quantity * unit_price), 2)` keeps one slot, the sum; the rest is computed when the file has ended. A column
outside of an aggregate means its value on the group's first row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.cli.load import values
from deploy.cli.load.errors import MappingError
from deploy.cli.load.evaluate import FUNCTIONS, truth
from deploy.cli.load.expression import Call, Column, Literal, Node

MAX_LIST: Final = 10_000
"""Elements a list() keeps of one group; an event with more is rejected rather than cut."""


@dataclass(frozen=True)
class Slot:
    """One value kept for each group: an aggregate of an expression over its rows."""

    kind: str
    argument: Node


@dataclass(frozen=True)
class Grouping:
    """Rows with one value of `key` are one event; rows without are none."""

    key: Node
    slots: tuple[Slot, ...]


def split_aggregates(node: Node, slots: list[Slot]) -> Node:
    """Return an expression over slots (columns named #0, #1, …) and add those it needs to `slots`.

    Raises:
        MappingError: an aggregate inside another, or with a wrong number of arguments.
    """
    if isinstance(node, Column):
        return _slot(Slot("first", node), slots)
    if not isinstance(node, Call):
        return node
    if node.name not in MERGE or node.name in FUNCTIONS:
        return Call(node.name, tuple(split_aggregates(argument, slots) for argument in node.arguments))
    if len(node.arguments) > 1 or (not node.arguments and node.name != "count"):
        raise MappingError(f"{node.name}() takes one argument")
    argument = node.arguments[0] if node.arguments else Literal(True)
    if _has_aggregate(argument):
        raise MappingError(f"{node.name}() cannot hold another aggregate")
    return _slot(Slot(node.name, argument), slots)


def _slot(slot: Slot, slots: list[Slot]) -> Node:
    if slot not in slots:
        slots.append(slot)
    return Column(f"#{slots.index(slot)}")


def _has_aggregate(node: Node) -> bool:
    return isinstance(node, Call) and (node.name in MERGE or any(map(_has_aggregate, node.arguments)))


def _ordered(value: Any) -> tuple[int, Any]:
    found = values.number_of_text(value) if isinstance(value, str) else value
    return (1, value) if found is None or isinstance(found, str) else (0, found)


def _pick(left: Any, right: Any, later: bool) -> Any:
    if left is None or right is None:
        return left if right is None else right
    try:
        return right if (_ordered(right) > _ordered(left)) == later and right != left else left
    except TypeError:
        a, b = values.text(left) or "", values.text(right) or ""
        return right if (b > a) == later else left


def _add(left: Any, right: Any) -> Any:
    return right if left is None else left if right is None else left + right


START: Final[Mapping[str, Callable[[Any], Any]]] = {
    "first": lambda value: value,
    "last": lambda value: value,
    "min": lambda value: value,
    "max": lambda value: value,
    "sum": values.number,
    "count": lambda value: int(value is not None and truth(value)),
    "list": lambda value: [] if value is None else [values.plain(value)],
}
"""The slot of a group of one row."""

MERGE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "first": lambda left, right: left,
    "last": lambda left, right: right,
    "min": lambda left, right: _pick(left, right, later=False),
    "max": lambda left, right: _pick(left, right, later=True),
    "sum": _add,
    "count": _add,
    "list": lambda left, right: left.extend(right[: MAX_LIST + 1 - len(left)]) or left,
}
"""The slot of the rows of `left` followed by those of `right`."""
