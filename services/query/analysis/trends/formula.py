"""Formulas over series: `A / B`, `(A + B) * 100`. Numbers, letters A to J, `+ - * /`, a minus sign, parentheses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from contracts.analysis import LETTERS
from contracts.errors import InvalidRequest
from contracts.trends import Number

POINTER: Final = "/formula"
MAX_DEPTH: Final = 50
_TOKEN: Final = re.compile(r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(?P<sign>[A-J+\-*/()]))")


@dataclass(frozen=True, slots=True)
class Operation:
    """Two operands and `+`, `-`, `*` or `/` between them."""

    sign: str
    left: Expression
    right: Expression


Expression: TypeAlias = Operation | float | str
"""A number, or the letter of a series, or an operation."""


def parse(text: str, series: int) -> Expression:
    """Return the expression of a formula over that many series.

    Raises:
        InvalidRequest: at `/formula`: not a formula, or it names a series that is not there.
    """
    parser = _Parser(_tokens(text.rstrip(), LETTERS[:series]))
    found = parser.sum(0)
    parser.end()
    return found


def evaluate(expression: Expression, values: Mapping[str, Number]) -> Number:
    """Return the value for the series' values by letter: null where an operand is, where something is divided by 0, and
    where a result is no finite double."""
    if isinstance(expression, str):
        return values[expression]
    if not isinstance(expression, Operation):
        return expression
    left, right = evaluate(expression.left, values), evaluate(expression.right, values)
    if left is None or right is None or (expression.sign == "/" and right == 0):
        return None
    try:
        result = _COMPUTE[expression.sign](left, right)
        return result if math.isfinite(result) else None
    except OverflowError:  # an integer too large for a double
        return None


_COMPUTE: Final[Mapping[str, Callable[[int | float, int | float], int | float]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}


def _tokens(text: str, letters: Sequence[str]) -> list[str]:
    found = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _wrong(f"cannot read {text[position:].strip()[:20]!r}: letters, numbers, + - * / and parentheses")
        word = token["number"] or token["sign"]
        if word.isalpha() and word not in letters:
            raise _wrong(f"there is no series {word}: there are {', '.join(letters)}")
        found.append(word)
        position = token.end()
    return found


class _Parser:
    """Recursive descent: sum = product ((+|-) product)*, product = factor ((*|/) factor)*."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def end(self) -> None:
        if self._tokens:
            raise _wrong(f"did not expect {self._tokens[-1]!r}")

    def sum(self, depth: int) -> Expression:
        left = self._product(depth)
        while self._tokens and self._tokens[-1] in "+-":
            left = Operation(self._tokens.pop(), left, self._product(depth))
        return left

    def _product(self, depth: int) -> Expression:
        left = self._factor(depth)
        while self._tokens and self._tokens[-1] in "*/":
            left = Operation(self._tokens.pop(), left, self._factor(depth))
        return left

    def _factor(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise _wrong(f"is nested deeper than {MAX_DEPTH}")
        if not self._tokens:
            raise _wrong("ends where a series, a number or a parenthesis should follow")
        word = self._tokens.pop()
        if word == "-":
            return Operation("-", 0.0, self._factor(depth + 1))
        if word == "(":
            inside = self.sum(depth + 1)
            if not self._tokens or self._tokens.pop() != ")":
                raise _wrong("lacks a closing parenthesis")
            return inside
        if word in LETTERS:
            return word
        if word[0].isdigit() and math.isfinite(float(word)):
            return float(word)
        raise _wrong(f"did not expect {word!r}")


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest.at(POINTER, message)
