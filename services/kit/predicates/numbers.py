"""Numbers of a predicate's values, and literals that compare exactly with each type a number may be stored with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from contracts.errors import InvalidRequest
from services.kit import sql

Number: TypeAlias = int | float

_TEXT: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_FIRST_ROUNDED: Final = 2**53
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")


class NumberSets(NamedTuple):
    """The same numbers as literals of each type; those that a type cannot hold are missing from it.

    `as_doubles`: whatever is looked up may be rounded to a double first.
    """

    signed: tuple[str, ...]
    unsigned: tuple[str, ...]
    double: tuple[str, ...]
    as_doubles: bool


def number_of_text(text: str) -> Number | None:
    """Return the number a text is, by the grammar of docs/predicates.md; None when it is none."""
    if _TEXT.fullmatch(text) is None:
        return None
    return whole_or_double(int(text)) if _WHOLE.fullmatch(text) and len(text) < 400 else float(text)


def whole_or_double(number: Number) -> Number:
    """Return a number as it is compared: an integer of 64 bits, or else the nearest double."""
    if isinstance(number, float) or number in sql.INT64 or number in sql.UINT64:
        return number
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def comparable(value: str | Number, pointer: str) -> Number:
    """Return the number that a value of gt, lt or between names.

    Raises:
        InvalidRequest: at `pointer`: a text that is no number.
    """
    number = number_of_text(value) if isinstance(value, str) else whole_or_double(value)
    if number is None:
        raise InvalidRequest.at(pointer, "must be a number, or text of the form [+-]digits[.digits][e[+-]digits]")
    return number


def compare_as_doubles(bounds: Iterable[Number]) -> bool:
    """Tell whether rounding any number to a double first changes no comparison with the bounds.

    True below 2^53: only integers from there on are rounded, and never to less than 2^53.
    """
    return all(abs(bound) < _FIRST_ROUNDED for bound in bounds)


def literal(number: Number) -> str:
    """Return the literal of a comparable number."""
    return sql.number(number) if isinstance(number, float) else sql.integer(number)


def number_sets(numbers: Iterable[Number]) -> NumberSets:
    """Return the literals to look a stored number up in, by its type; equality is exact across types."""
    wholes: set[int] = set()
    doubles: set[float] = set()
    for number in numbers:
        if isinstance(number, float):
            doubles.add(number)
            if number.is_integer():
                wholes.add(int(number))
        else:
            wholes.add(number)
            if int(float(number)) == number:
                doubles.add(float(number))
    return NumberSets(
        tuple(sql.integer(whole) for whole in sorted(wholes) if whole in sql.INT64),
        tuple(sql.integer(whole) for whole in sorted(wholes) if whole in sql.UINT64),
        tuple(sql.number(double) for double in sorted(doubles)),
        compare_as_doubles([*wholes, *doubles]),
    )
