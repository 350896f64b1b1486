"""Functions over columns, computed once for each distinct value: most columns repeat theirs a lot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from deploy.cli.load.coded import Coded, distinct_of, replaced

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
    kinds = set(map(type, distinct_of(column)))
    kinds.discard(NONE)
    return kinds


def _may_key(column: Sequence[Any]) -> bool:
    # One type only: True, 1 and 1.0 are one key to a dict.
    kinds = kinds_of(column)
    return len(kinds) <= 1 and kinds <= _KEYS


class _Codes(dict[Any, int]):
    """Numbers keys as they come."""

    def __missing__(self, key: Any) -> int:
        code = self[key] = len(self)
        return code


def numbered(column: Sequence[Any]) -> tuple[Sequence[Any], Sequence[int]]:
    """Return values and, for every row, the place of its own among them; one may be there twice. They must be keys."""
    if isinstance(column, Coded):
        return column.distinct, column.codes
    seen = _Codes()
    codes = list(map(seen.__getitem__, column))
    return list(seen), codes


def each(function: Callable[[Any], Any], column: Sequence[Any]) -> Sequence[Any]:
    """Return `function` of every value. It must depend on nothing else and return nothing that is changed later."""
    if isinstance(column, Coded):
        return replaced(column, list(map(function, column.distinct)))
    return list(map(_Results(function).__getitem__ if _may_key(column) else function, column))


def each_of(function: Callable[..., Any], columns: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """Return `function` of the values of every row; as `each`."""
    coded = [column for column in columns if isinstance(column, Coded)]
    if len(coded) == len(columns):
        seen = _Codes()
        codes = list(map(seen.__getitem__, zip(*(column.codes for column in coded), strict=True)))
        values = [column.distinct for column in coded]
        return Coded([function(*(v[i] for v, i in zip(values, places, strict=True))) for places in seen], codes)
    if all(map(_may_key, columns)):
        return list(map(_Results(lambda row: function(*row)).__getitem__, zip(*columns, strict=True)))
    return list(map(function, *columns))
