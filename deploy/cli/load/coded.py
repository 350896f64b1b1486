"""Columns that hold each value once, and for every row where it is: most columns of a file repeat theirs a lot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Coded(Sequence[T], Generic[T]):
    """A column as its values (`distinct`; one may be there twice) and their places, one for every row (`codes`).

    Every value is that of some row. A part of it is a plain list.
    """

    __slots__ = ("codes", "distinct")

    def __init__(self, distinct: Sequence[T], codes: Sequence[int]) -> None:
        self.distinct = distinct
        self.codes = codes

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[T]:
        return map(self.distinct.__getitem__, self.codes)

    def __contains__(self, value: object) -> bool:
        return value in self.distinct

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return list(map(self.distinct.__getitem__, self.codes[index]))
        return self.distinct[self.codes[index]]


def distinct_of(column: Sequence[Any]) -> Sequence[Any]:
    """Return values of which each value of the column is one, and no others."""
    return column.distinct if isinstance(column, Coded) else column


def replaced(column: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
    """Return the column with `values` in the place of its `distinct_of`."""
    return Coded(values, column.codes) if isinstance(column, Coded) else values
