"""Functions over columns, computed once for each distinct value: most columns repeat theirs a lot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

NONE: Final = type(None)
_KEYS: Final = frozenset({str, int, float, bool, Decimal, date, datetime})


class _Results(dict[Any, Any]):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: Any) -> Any:
        result = self[key] = self._function(key)
        return result


def kinds_of(column: Sequence[Any]) -> set[type]:
    """Return the types of the values that are there."""
    kinds = set(map(type, column))
    kinds.discard(NONE)
    return kinds


def _may_key(column: Sequence[Any]) -> bool:
    # One type only: True, 1 and 1.0 are one key to a dict.
    kinds = kinds_of(column)
    return len(kinds) <= 1 and kinds <= _KEYS


def each(function: Callable[[Any], Any], column: Sequence[Any]) -> list[Any]:
    """Return `function` of every value. It must depend on nothing else and return nothing that is changed later."""
    return list(map(_Results(function).__getitem__ if _may_key(column) else function, column))


def each_of(function: Callable[..., Any], columns: Sequence[Sequence[Any]]) -> list[Any]:
    """Return `function` of the values of every row; as `each`."""
    if all(map(_may_key, columns)):
        return list(map(_Results(lambda row: function(*row)).__getitem__, zip(*columns, strict=True)))
    return list(map(function, *columns))
