"""What predicates and fields refuse, and where; the shape of what they compile to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts.common import TABLES, TableName
from contracts.errors import InvalidRequest
from contracts.predicates import Predicate
from services.kit.predicates import Scope, check_field, check_predicate, compile_predicate, render_column

SCOPE = Scope(workspace=UUID(int=0), tables=("track",), as_of=datetime(2026, 3, 31, 12, tzinfo=UTC))


def compiled(**tree: Any) -> str:
    predicate = msgspec.convert(tree, Predicate)
    check_predicate(predicate, TABLES)
    return compile_predicate(predicate, SCOPE)


def refused(tree: dict[str, Any], tables: tuple[TableName, ...] = TABLES) -> str:
    """Return the pointer at which a tree is refused."""
    predicate = msgspec.convert(tree, Predicate)
    with pytest.raises(InvalidRequest) as error:
        check_predicate(predicate, tables)
        compile_predicate(predicate, SCOPE)
    return error.value.errors[0].pointer


@pytest.mark.parametrize(
    ("tree", "sql"),
    [
        ({"op": "eq", "field": "event", "value": "x"}, "`event` = 'x'"),
        ({"op": "in", "field": "event", "value": ["x", "y", "x"]}, "`event` IN ('x', 'y')"),
        ({"op": "exists", "field": "user_id"}, "`user_id` != ''"),
        (
            {"op": "after", "field": "timestamp", "value": "2026-01-31"},
            "(`timestamp` >= toDateTime64('2026-01-31 00:00:00.000', 3, 'UTC'))",
        ),
        ({"op": "and", "items": []}, "1"),
        ({"op": "or", "items": []}, "0"),
        ({"op": "eq", "field": "event", "value": ""}, "0"),
        ({"op": "eq", "field": "name", "value": "x"}, "0"),
        ({"op": "not_in", "field": "properties.a", "value": []}, "not(0)"),
    ],
)
def test_simple_predicates_compile_to_what_an_index_can_use(tree: dict[str, Any], sql: str) -> None:
    assert compiled(**tree) == sql


@pytest.mark.parametrize(
    ("tree", "pointer"),
    [
        ({"op": "eq", "field": "nothing", "value": 1}, "/where/field"),
        ({"op": "eq", "field": "event.x", "value": 1}, "/where/field"),
        ({"op": "eq", "field": "Event", "value": 1}, "/where/field"),
        ({"op": "eq", "field": "properties[]", "value": 1}, "/where/field"),
        ({"op": "eq", "field": "workspace_id", "value": 1}, "/where/field"),
        ({"op": "exists", "field": "segment"}, "/where/field"),
        ({"op": "exists", "field": "computed.ltv"}, "/where/field"),
        ({"op": "exists", "field": "profile.plan"}, "/where/field"),
        ({"op": "gt", "field": "properties.a", "value": "five"}, "/where/value"),
        ({"op": "gt", "field": "properties.a", "value": ".5"}, "/where/value"),
        ({"op": "between", "field": "properties.a", "value": [1, "x"]}, "/where/value/1"),
        ({"op": "gt", "field": "timestamp", "value": 1}, "/where/op"),
        ({"op": "between", "field": "received_at", "value": [1, 2]}, "/where/op"),
        ({"op": "before", "field": "timestamp", "value": "soon"}, "/where/value"),
        ({"op": "before", "field": "timestamp", "value": "2300-01-01"}, "/where/value"),
        ({"op": "within_last", "field": "timestamp", "value": "999999999m"}, "/where/value"),
        ({"op": "matches", "field": "event", "value": "("}, "/where/value"),
        ({"op": "matches", "field": "event", "value": "(?=a)"}, "/where/value"),
        ({"op": "matches", "field": "event", "value": "(a{1000}){1000}"}, "/where/value"),
        ({"op": "matches", "field": "event", "value": r"[\p{L}]{1000}"}, "/where/value"),
        (
            {"op": "not", "item": {"op": "and", "items": [{"op": "and", "items": []}, {"op": "exists", "field": "x"}]}},
            "/where/item/items/1/field",
        ),
        (
            {"op": "any", "field": "properties.a", "where": {"op": "matches", "field": "b", "value": "["}},
            "/where/where/value",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_its_pointer(tree: dict[str, Any], pointer: str) -> None:
    assert refused(tree) == pointer


def test_a_field_that_no_table_has_is_refused_and_one_that_some_have_is_not() -> None:
    tree = {"op": "exists", "field": "event"}
    assert refused(tree, ("page", "group")) == "/where/field"
    check_predicate(msgspec.convert(tree, Predicate), ("page", "track"))
    with pytest.raises(InvalidRequest):
        check_field("traits.plan", ("track", "page"), "/field")
    with pytest.raises(InvalidRequest):
        render_column("computed.x", SCOPE, "/columns/0")


def test_names_inside_an_element_are_never_those_of_columns() -> None:
    inner = {"op": "eq", "field": "nothing", "value": 1}
    check_predicate(msgspec.convert({"op": "any", "field": "properties.a", "where": inner}, Predicate), ("track",))


def test_trees_too_big_are_refused_at_the_first_item_too_many() -> None:
    leaf = {"op": "exists", "field": "event"}
    assert refused({"op": "and", "items": [leaf] * 1_000}) == "/where/items/999"
    deep: dict[str, Any] = leaf
    for _ in range(100):
        deep = {"op": "not", "item": deep}
    assert refused(deep) == "/where" + "/item" * 100
    half = {"op": "in", "field": "event", "value": ["x"] * 10_001}
    assert refused({"op": "or", "items": [half, half]}) == "/where/items/1/value"


def test_a_pattern_of_re2_is_let_through_though_python_lacks_it() -> None:
    assert "match" in compiled(op="matches", field="event", value=r"\pL\z")
