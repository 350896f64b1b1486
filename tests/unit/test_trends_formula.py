"""Formulas over series: read, refused, computed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from random import Random

import pytest

from contracts.errors import InvalidRequest
from contracts.trends import Number
from services.query.analysis.trends.formula import evaluate, parse

VALUES: dict[str, Number] = {"A": 6, "B": 4, "C": None, "D": 0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A", 6),
        (" A + B*2 ", 14.0),
        ("(A + B)*2", 20.0),
        ("A - B - 1", 1.0),
        ("A / B / 2", 0.75),
        ("-A + B", -2.0),
        ("A * -B", -24.0),
        ("--A", 6.0),
        ("2.5e1", 25.0),
        ("A + C", None),
        ("A / D", None),
        ("D / A", 0.0),
        ("0 * (A / D)", None),
        ("A * 1e308 * 1e308", None),
    ],
)
def test_a_formula_is_arithmetic_in_which_null_stays_null(text: str, value: Number) -> None:
    assert evaluate(parse(text, 4), VALUES) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "A +",
        "+ A",
        "A B",
        "A 2",
        "(A",
        "A)",
        "()",
        "a",
        "K",
        "E",
        "A ** B",
        "A // B",
        "A % B",
        "1.",
        ".5",
        "1e999",
        "A.__class__",
        "max(A)",
        "A\u00d7B",
        "(" * 60 + "A" + ")" * 60,
        "-" * 60 + "A",
    ],
)
def test_what_is_no_formula_of_the_series_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(text, 4)
    assert [error.pointer for error in refused.value.errors] == ["/formula"]


def test_the_longest_formula_is_read() -> None:
    text = "A" + "+A" * 249
    assert evaluate(parse(text, 1), {"A": 2}) == 500


SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def random_formula(rng: Random, depth: int) -> tuple[str, Callable[[], float]]:
    """Return a formula in parentheses and what computes it."""
    if depth == 0 or rng.random() < 0.2:
        letter = rng.choice("ABD")
        value = VALUES[letter]
        assert value is not None
        return letter, lambda: value
    sign = rng.choice("+-*/")
    (left, x), (right, y) = random_formula(rng, depth - 1), random_formula(rng, depth - 1)
    return f"({left}{sign}{right})", lambda: SIGNS[sign](x(), y())


@pytest.mark.parametrize("seed", range(200))
def test_random_formulas_compute_what_their_tree_says(seed: int) -> None:
    text, compute = random_formula(Random(seed), 5)
    try:
        expected: float | None = compute()
    except ZeroDivisionError:
        expected = None
    assert evaluate(parse(text, 4), VALUES) == (None if expected is None else pytest.approx(expected))
    # Without parentheses the usual order of operations holds.
    bare = text.replace("(", "").replace(")", "")
    try:
        plain: float | None = eval(bare, {}, dict(VALUES))
    except ZeroDivisionError:
        plain = None
    assert evaluate(parse(bare, 4), VALUES) == (None if plain is None else pytest.approx(plain))
