"""Pure parts of searching profiles: numbers, index conditions, patterns, keys of pages, bound values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidRequest
from contracts.predicates import Predicate
from contracts.profile_search import ProfileSort
from services.profile.search import indexes, text
from services.profile.search.compiler import Clock, Compiler
from services.profile.search.numbers import text_of
from services.profile.search.order import key_of, order_of, read_key
from services.profile.search.parameters import Parameters
from services.profile.search.patterns import split
from services.profile.search.rows import Shape, csv_line, csv_values
from tests.oracle import predicates as oracle

CLOCK = Clock(datetime(2026, 3, 31, tzinfo=UTC), "UTC")


def tree(found: dict[str, Any]) -> Predicate:
    return msgspec.convert(found, Predicate)  # type: ignore[arg-type]


@given(st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)))
def test_the_text_of_a_number_is_that_of_the_oracle(number: float) -> None:
    wide = isinstance(number, float) and number.is_integer() and 2**53 <= abs(number) < 2**64
    expected = str(int(number)) if wide or number == 0 else oracle.compact(number)
    assert text_of(number) == expected


@pytest.mark.parametrize(
    ("where", "documents"),
    [
        ({"op": "eq", "field": "traits.a", "value": "x"}, ['{"a":"x"}']),
        ({"op": "eq", "field": "traits.a", "value": "5"}, ['{"a":"5"}', '{"a":5}']),
        ({"op": "eq", "field": "traits.a.b", "value": 5}, ['{"a":{"b":5}}', '{"a":{"b":"5"}}', '{"a":{"b":5}}']),
        ({"op": "eq", "field": "traits.a[].b", "value": True}, ['{"a":[{"b":true}]}', '{"a":[{"b":"true"}]}']),
        ({"op": "array_contains", "field": "traits.a", "value": "x"}, ['{"a":["x"]}']),
        ({"op": "in", "field": "traits.a", "value": ["x", "y"]}, ['{"a":"x"}', '{"a":"y"}']),
    ],
)
def test_equality_of_a_trait_is_containment(where: dict[str, Any], documents: list[str]) -> None:
    parameters = Parameters()
    found = indexes.condition(tree(where), parameters)
    assert found is not None
    assert found.exact
    assert [parameters.used(part)[1][0] for part in found.sql.strip("()").split(" OR ")] == documents


@pytest.mark.parametrize(
    "where",
    [
        {"op": "neq", "field": "traits.a", "value": "x"},
        {"op": "eq", "field": "traits.a", "value": "x", "ignore_case": True},
        {"op": "eq", "field": "traits.a", "value": '{"b":1}'},
        {"op": "not", "item": {"op": "eq", "field": "traits.a", "value": "x"}},
        {"op": "or", "items": [{"op": "eq", "field": "traits.a", "value": "x"}, {"op": "exists", "field": "traits.b"}]},
        {"op": "gt", "field": "traits.a", "value": 1},
    ],
)
def test_what_no_index_answers_is_told(where: dict[str, Any]) -> None:
    assert indexes.condition(tree(where), Parameters()) is None


def test_an_and_with_an_indexed_part_is_found_by_it_but_not_exactly() -> None:
    where = {"op": "and", "items": [{"op": "exists", "field": "traits.b"}, {"op": "eq", "field": "id", "value": "x"}]}
    found = indexes.condition(tree(where), Parameters())
    assert found is not None
    assert not found.exact


def test_words_are_found_by_the_index_only_among_its_traits() -> None:
    indexed = tuple(sorted(text.INDEXED))
    exact = text.indexed("ada lovelace", indexed, Parameters())
    assert exact is not None
    assert exact.exact
    loose = text.indexed("ada of", indexed, Parameters())
    assert loose is not None
    assert not loose.exact, "a word of two characters is left to be looked for"
    assert text.indexed("of", indexed, Parameters()) is None
    assert text.indexed("ada", ("name", "city"), Parameters()) is None


def test_patterns_leave_a_tree_that_everything_meant_meets() -> None:
    pattern = {"op": "matches", "field": "traits.a", "value": "x+"}
    plain = {"op": "exists", "field": "traits.b"}
    where = tree({"op": "or", "items": [{"op": "not", "item": pattern}, {"op": "and", "items": [pattern, plain]}]})
    parameters = Parameters()
    found = split(where, Compiler(parameters, CLOCK), parameters, "/where")
    assert found.loose == tree(
        {
            "op": "or",
            "items": [
                {"op": "not", "item": {"op": "or", "items": []}},
                {"op": "and", "items": [{"op": "and", "items": []}, plain]},
            ],
        }
    )
    assert len(found.columns) == 3
    assert found.test is not None
    assert [found.test(row) for row in (([None], [None], True), (["xx"], ["xx"], False), (["xx"], ["xx"], True))] == [
        True,
        False,
        True,
    ]


@given(st.integers(0, 2), st.decimals(allow_nan=False), st.text(st.characters(exclude_characters="\0"), max_size=20))
def test_a_key_is_read_as_it_was_written(kind: int, number: Any, written: str) -> None:
    order = order_of(ProfileSort(by="traits.a"), Parameters(), "/sort")
    row = {"k0": kind, "k1": number, "k2": written, "id": UUID(int=7)}
    assert read_key(order, key_of(order, row)) == ((kind, str(number), written), UUID(int=7))


@pytest.mark.parametrize(
    "forged",
    ['[[0,"0"],"x"]', '[["a"],"00000000-0000-0000-0000-000000000000"]', "[", '[[99999999999999999999],"x"]', "{}"]
    + [f'[[{key}],"00000000-0000-0000-0000-000000000000"]' for key in ("", '1,"0",""', str(2**62))],
)
def test_a_forged_key_is_refused(forged: str) -> None:
    with pytest.raises(InvalidRequest):
        read_key(order_of(ProfileSort(), Parameters(), "/sort"), forged)


def test_a_statement_has_only_the_values_it_names() -> None:
    parameters = Parameters()
    parameters.text("unused")
    one, two = parameters.text("one"), parameters.texts(["two"])
    assert parameters.text("one") == one
    assert parameters.used(f"{two} {one} {two}") == ("$1::text[] $2::text $1::text[]", [["two"], "one"])


def test_columns_are_read_from_nested_traits_and_written_as_csv() -> None:
    shape = Shape(("user_id", "traits.a.b", "traits.c[].d", "traits.e", "last_seen_at"))
    row = {
        "user_id": None,
        "traits": '{"a": {"b": 1.5}, "c": [{"d": "x,y"}, {"d": ""}, 5], "e": ""}',
        "last_seen_at": datetime(2026, 3, 31, tzinfo=UTC),
    }
    shown = shape.show(row)
    assert list(shown.values())[:4] == [None, 1.5, ["x,y"], None]
    assert csv_line(csv_values(shown)) == b',1.5,"[""x,y""]",,2026-03-31T00:00:00Z\n'
