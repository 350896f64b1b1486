"""The mapping's expressions."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.cli.load.aggregates import Slot, split_aggregates
from deploy.cli.load.errors import MappingError, RowError
from deploy.cli.load.evaluate import check, evaluate
from deploy.cli.load.expression import Column, columns_of, parse
from deploy.cli.load.values import plain


def value_of(source: str, **row: Any) -> Any:
    node = parse(source)
    check(node)
    return plain(evaluate(node, lambda name: [row[name]], 1)[0])


@pytest.mark.parametrize(
    ("source", "row", "expected"),
    [
        ("quantity * price", {"quantity": "6", "price": "2.55"}, 15.3),
        ("1 + 2 * 3 - 4 / 2", {}, 5),
        ("(1 + 2) * 3", {}, 9),
        ("-a", {"a": "2"}, -2),
        ("a / b", {"a": 1, "b": 0}, None),
        ("a * b", {"a": None, "b": 3}, None),
        ("'it''s'", {}, "it's"),
        ("a = null", {"a": None}, True),
        ("a != null", {"a": "x"}, True),
        ("a = 7", {"a": "7.0"}, True),
        ("a = '7.0'", {"a": "7"}, False),
        ("a < 10", {"a": "9"}, True),
        ("a < b", {"a": "2024-01-01", "b": "2024-01-02"}, True),
        ("a < 10", {"a": None}, False),
        ("not a = 1 and b = 2", {"a": "3", "b": "2"}, True),
        ("a = 1 or a = 2", {"a": 2}, True),
        ("if(starts_with(n, 'C'), 'cancelled', 'kept')", {"n": "C12"}, "cancelled"),
        ("if(a, 1, 2)", {"a": False}, 2),
        ("concat('x-', n, '-', 5)", {"n": 12}, "x-12-5"),
        ("concat('x-', n)", {"n": None}, None),
        ("coalesce(a, b, 'c')", {"a": None, "b": ""}, "c"),
        ("upper(trim(a))", {"a": " x "}, "X"),
        ("replace(a, '/', '.')", {"a": "1/2"}, "1.2"),
        ("round(a, 1)", {"a": "2.25"}, 2.2),
        ("number(a)", {"a": "1e3"}, 1000.0),
        ("boolean(a)", {"a": "Yes"}, True),
        ("contains(a, 'b')", {"a": "abc"}, True),
        ("url_path(u)", {"u": "https://x.example/a/b?c=1#d"}, "/a/b"),
        ("url_host(u)", {"u": "https://X.example:8080/a"}, "x.example"),
        ("url_path(u)", {"u": "http://[x/"}, None),
        ("url_search(u)", {"u": "https://x.example/a?c=1"}, "?c=1"),
        ("object('sku', a, 'n', b)", {"a": "s", "b": None}, {"sku": "s"}),
    ],
)
def test_an_expression_means_what_it_says(source: str, row: dict[str, Any], expected: Any) -> None:
    found = value_of(source, **row)
    assert found == expected
    assert type(found) is type(expected) or isinstance(expected, int | float)


def test_a_sum_of_prices_is_exact_in_any_order() -> None:
    prices = ["0.1", "0.2", "0.3", "1e15"]
    forwards = value_of("a + b + c + d", **dict(zip("abcd", prices, strict=True)))
    backwards = value_of("a + b + c + d", **dict(zip("abcd", reversed(prices), strict=True)))
    assert forwards == backwards == 1_000_000_000_000_000.6


@pytest.mark.parametrize(
    "source", ["a *", "(a", "f(a,", "'open", "a b", "", "a = = b", "1..2", "§", "(" * 60 + "1" + ")" * 60]
)
def test_what_is_no_expression_is_refused_with_its_text(source: str) -> None:
    with pytest.raises(MappingError) as refused:
        parse(source)
    assert source in str(refused.value)


@pytest.mark.parametrize(
    ("source", "message"), [("nope(a)", "no function nope"), ("if(a)", "takes 3"), ("lower()", "takes 1")]
)
def test_functions_are_checked_before_anything_is_loaded(source: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        check(parse(source))


def test_text_that_is_no_number_is_a_reason_to_reject_the_row() -> None:
    with pytest.raises(RowError, match="'abc' is not a number"):
        value_of("a * 2", a="abc")


def test_columns_of_any_name_are_read_with_backticks_and_paths_with_dots() -> None:
    assert list(columns_of(parse("`Unit Price` * user.id"))) == ["Unit Price", "user.id"]


def test_one_value_of_several_types_is_not_taken_for_another() -> None:
    """True, 1 and 1.0 are one key of a dict; each has a text of its own."""
    node = parse("text(a)")
    column = [True, 1, 1.0, "1", None]
    assert evaluate(node, lambda name: column, 5) == ["true", "1", "1.0", "1", None]


def test_an_aggregate_becomes_a_slot_and_a_plain_column_the_first_value() -> None:
    slots: list[Slot] = []
    node = split_aggregates(parse("round(sum(a * b), 2) + sum(a * b) + a"), slots)
    assert [slot.kind for slot in slots] == ["sum", "first"]
    assert set(columns_of(node)) == {"#0", "#1"}
    assert slots[1].argument == Column("a")


@pytest.mark.parametrize("source", ["sum(max(a))", "sum()", "sum(a, b)"])
def test_an_aggregate_takes_one_expression_over_rows(source: str) -> None:
    with pytest.raises(MappingError):
        split_aggregates(parse(source), [])
