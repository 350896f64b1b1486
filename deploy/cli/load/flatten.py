"""JSON objects as one column a path, in the types the engine infers from their text.

Reading the paths here costs a fifth of what the engine's own parsing of the JSON type does. Whatever is unusual
(arrays of mixed kinds, empty arrays and keys, numbers beyond 64 bits) is `NotFlat`: the engine then gets the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final, TypeVar

import msgspec

from deploy.cli.load.coded import Coded, distinct_of, replaced
from deploy.cli.load.json_type import JsonType

NONE: Final = type(None)
_NOTHING: Final[Mapping[str, Any]] = {}
_SCALARS: Final = {str: "String", float: "Float64", bool: "Bool", int: "Int64"}


class NotFlat(Exception):
    """Some value has no plain column form."""


def flatten_texts(texts: Sequence[bytes], declared: JsonType) -> dict[str, Sequence[Any]]:
    """Return the values of every path of JSON objects, None where a row has none.

    Raises:
        NotFlat: some value cannot be written by path.
    """
    try:
        rows = list(map(msgspec.json.decode, texts))
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotFlat from error
    return flatten(rows, declared)


def flatten(rows: Sequence[Mapping[str, Any]], declared: JsonType) -> dict[str, Sequence[Any]]:
    """Return the values of every path of decoded objects; see `flatten_texts`."""
    columns: dict[str, Sequence[Any]] = {}
    _spread(rows, "", columns, declared.typed)
    return _checked(columns, declared)


def _spread(
    rows: Sequence[Mapping[str, Any]], prefix: str, columns: dict[str, Sequence[Any]], typed: Mapping[str, bool]
) -> None:
    """Add the columns of all members, level by level: once for each path, not once for each value."""
    for key in dict.fromkeys(chain.from_iterable(rows)):
        try:
            column = list(map(itemgetter(key), rows))
        except KeyError:
            column = [row.get(key) for row in rows]
        path = prefix + key
        kinds = set(map(type, column))
        if dict in kinds:
            if path in typed:
                raise NotFlat(path)  # the engine makes a text of the object
            _spread([value if type(value) is dict else _NOTHING for value in column], f"{path}.", columns, typed)
            if kinds <= {dict, NONE}:
                continue
            column = [None if type(value) is dict else value for value in column]
        elif kinds == {NONE}:
            continue
        if path in columns:
            raise NotFlat(path)  # spelt in two ways: which counts depends on their order in each row
        columns[path] = column


def flatten_values(columns: Mapping[str, Sequence[Any]], declared: JsonType) -> Mapping[str, Sequence[Any]]:
    """Return computed columns by path as they are; see `flatten_texts`."""
    if any(dict in set(map(type, distinct_of(values))) for values in columns.values()):
        raise NotFlat("a column of objects")
    return _checked(columns, declared)


C = TypeVar("C", bound=Mapping[str, Sequence[Any]])


def _checked(columns: C, declared: JsonType) -> C:
    if len(columns) - len(columns.keys() & declared.typed.keys()) > declared.paths:
        raise NotFlat("more paths than the column keeps apart")
    for path, values in columns.items():
        parts = path.split(".")
        if not all(parts):
            raise NotFlat(path)
        if any(".".join(parts[:size]) in declared.typed for size in range(1, len(parts))):
            raise NotFlat(path)  # an object where a text is declared
        if path in declared.typed and not set(map(type, distinct_of(values))) <= {str, NONE}:
            raise NotFlat(path)  # the engine knows how to make a text of it
    return columns


def type_names(values: Sequence[Any], declared: JsonType) -> Sequence[str]:
    """Return the engine's type of each value of a path; none of them is None.

    Raises:
        NotFlat: an array of several kinds or none, a number beyond 64 bits.
    """
    distinct = distinct_of(values)
    kinds = set(map(type, distinct))
    if len(kinds) == 1 and list not in kinds:
        kind = kinds.pop()
        if kind is not int or _integer_type(min(distinct), max(distinct)) == "Int64":
            return Coded((_SCALARS[kind],), bytes(len(values)))
    return replaced(values, [_type_name(value, declared) for value in distinct])


def _type_name(value: Any, declared: JsonType) -> str:
    kind = type(value)
    if kind is int:
        return _integer_type(value, value)
    if kind is list:
        return f"Array({_element_type(value, declared)})"
    return _SCALARS[kind]


def _integer_type(least: int, most: int) -> str:
    if least >= -(2**63) and most < 2**63:
        return "Int64"
    if least >= 0 and most < 2**64:
        return "UInt64"
    raise NotFlat("a number beyond 64 bits")


def _element_type(values: list[Any], declared: JsonType) -> str:
    kinds = set(map(type, values))
    if kinds == {dict}:
        return declared.element_name
    kinds.discard(NONE)
    if len(kinds) != 1:
        raise NotFlat("an array of several kinds or none")
    kind = kinds.pop()
    if kind not in _SCALARS:
        raise NotFlat("an array of arrays")
    if kind is int and _integer_type(min(present := [v for v in values if v is not None]), max(present)) != "Int64":
        raise NotFlat("an array of large numbers")
    return f"Nullable({_SCALARS[kind]})"
