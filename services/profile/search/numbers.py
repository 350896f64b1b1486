"""The numbers and texts that a predicate's values are compared as."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from contracts.predicates import Scalar
from services.kit import sql
from services.kit.predicates.numbers import Number, number_of_text, whole_or_double

_EXACT_FROM: Final = 2.0**53
_EXACT_BELOW: Final = 2.0**64
_EXPONENT: Final = re.compile(r"e\+?(-?)0*")


class Wanted(NamedTuple):
    """The values of eq, in and array_contains, by what they are compared with."""

    texts: tuple[str, ...]
    """Those of texts and booleans, compared with the texts of all values. None has a NUL."""
    numbers: tuple[Number, ...]
    """All that are numbers, compared with JSON numbers."""
    json_numbers: tuple[Number, ...]
    """Compared with texts that are numbers, too."""


def wanted(values: Iterable[Scalar]) -> Wanted:
    """Sort the values to be looked up."""
    texts: dict[str, None] = {}
    of_texts: list[Number] = []
    of_json: list[Number] = []
    for value in values:
        if isinstance(value, bool):
            texts["true" if value else "false"] = None
        elif isinstance(value, str):
            if value and "\0" not in value:  # nothing absent is equal to anything, and nothing stored has a NUL
                texts[value] = None
                number = number_of_text(value)
                if number is not None:
                    of_texts.append(number)
        else:
            of_json.append(whole_or_double(value))
    return Wanted(tuple(texts), (*of_texts, *of_json), tuple(of_json))


def numeric(number: Number) -> str:
    """Return a number as PostgreSQL's numeric reads it: a double that is whole and large by its exact value, as
    profile.rounded has it, any other by its shortest digits."""
    if isinstance(number, int):
        return str(number)
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    return str(int(number)) if _EXACT_FROM <= abs(number) < _EXACT_BELOW else repr(number)


def text_of(number: Number) -> str:
    """Return the text of a finite number, as profile.number_text writes it."""
    if isinstance(number, float) and number.is_integer() and (int(number) in sql.INT64 or int(number) in sql.UINT64):
        number = int(number)
    if isinstance(number, int):
        return str(number)
    if abs(number) >= 1e21 or abs(number) < 1e-6:
        return _EXPONENT.sub(r"e\1", repr(number).replace(".0e", "e"))
    return f"{Decimal(repr(number)):f}".removesuffix(".0")
