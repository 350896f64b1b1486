"""The parts of saved queries that need no store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import FieldError, InvalidRequest
from contracts.operations import OPERATIONS
from contracts.queries import QueriesList, QueryVersions
from services.kit import cursor, paging
from services.kit.paging import Place
from services.query.analysis.nested import under
from services.query.saved import kinds, texts
from services.query.saved.list_sources import SOURCES

_WORKSPACE, _ID = uuid4(), uuid4()
_REQUEST = QueriesList()
PLAIN = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def test_every_operation_under_query_that_has_a_range_is_a_kind_and_so_is_custom_sql() -> None:
    ranged = {
        operation.name
        for operation in OPERATIONS
        if operation.path.count("/") == 2
        and operation.path.startswith("/query/")
        and {"from_", "to", "timezone", "as_of"} <= set(getattr(operation.request, "__struct_fields__", ()))
    }
    assert set(kinds.ANALYSES) == ranged | {"sql"} > {"events", "funnel"}
    assert "catalog" not in kinds.ANALYSES


def test_every_list_of_actors_behind_a_number_is_a_source() -> None:
    assert set(SOURCES) == {
        operation.id
        for operation in OPERATIONS
        if operation.path.startswith("/query/") and operation.path.endswith("/actors")
    }
    for operation in SOURCES.values():
        assert {"query", "limit", "cursor"} <= set(operation.request.__struct_fields__)


@pytest.mark.parametrize("kind", kinds.ANALYSES)
def test_examples_of_every_kind_can_be_saved(kind: str) -> None:
    for example in kinds.ANALYSES[kind].examples.values():
        kinds.check_definition(kind, example)


def test_errors_move_below_the_definition_but_for_those_of_the_run_itself() -> None:
    pointers = ["", "/from", "/from/x", "/fromage", "/where/items/0", "/"]
    error = InvalidRequest("no", errors=tuple(FieldError(pointer=each, message="m") for each in pointers))
    with pytest.raises(InvalidRequest) as raised, under("/definition", but={"from"}):
        raise error
    assert [each.pointer for each in raised.value.errors] == [
        "/definition",
        "/from",
        "/from/x",
        "/definition/fromage",
        "/definition/where/items/0",
        "/definition/",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [("STRASSE", "straße"), ("É", "e\u0301"), ("ﬁ", "FI"), ("Ⅷ", "viii"), ("İ", "i\u0307"), ("\u0345", "\u03b9")],
)
def test_texts_that_differ_in_case_or_composition_are_one(one: str, other: str) -> None:
    assert texts.fold(one) == texts.fold(other)


@PLAIN
@given(st.text(max_size=40), st.text(max_size=40), st.data())
def test_any_part_of_any_text_is_found(name: str, description: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(name)))
    end = data.draw(st.integers(start, len(name)))
    folded = texts.fold(name)
    assert folded in texts.haystack(name, description)
    assert folded[start:end] in texts.haystack(name, description)


@PLAIN
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200))
def test_the_cursor_of_any_name_comes_back_and_is_no_longer_than_a_request_allows(name: str) -> None:
    place = Place(texts.sort_key(name), _ID)
    text = paging.write(_WORKSPACE, _REQUEST, place)
    assert len(text) <= 4_096
    assert paging.read_place(_WORKSPACE, _REQUEST, text, by_name=True) == place


@PLAIN
@given(st.integers(0, 7 * 10**15))
def test_the_cursor_of_any_time_comes_back_to_the_microsecond(microseconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    text = paging.write(_WORKSPACE, _REQUEST, Place(moment, _ID))
    assert paging.read_place(_WORKSPACE, _REQUEST, text, by_name=False) == Place(moment, _ID)


@pytest.mark.parametrize(
    "last",
    [
        5,
        "",
        "nonsense",
        str(_ID),
        f"{_ID}-1",
        f"{_ID}1e3",
        f"{_ID}{10**18}",
        f"{_ID}" + "9" * 300,
        f"{_ID}5\0",
        f"{str(_ID)[:-1]}x5",
    ],
)
def test_a_cursor_made_by_hand_is_refused_when_it_cannot_be_a_place(last: Any) -> None:
    text = cursor.write(_WORKSPACE, _REQUEST, last, as_of=datetime.now(UTC), timezone="UTC")
    with pytest.raises(InvalidRequest):
        paging.read_place(_WORKSPACE, _REQUEST, text, by_name=False)


@pytest.mark.parametrize("last", ["x", -1, 2**31, 10**30])
def test_a_cursor_made_by_hand_is_refused_when_it_cannot_be_a_number(last: Any) -> None:
    request = QueryVersions(id=_ID)
    text = cursor.write(_WORKSPACE, request, last, as_of=datetime.now(UTC), timezone="UTC")
    with pytest.raises(InvalidRequest):
        paging.read_number(_WORKSPACE, request, text)


def test_a_cursor_belongs_to_its_request_and_workspace() -> None:
    text = paging.write(_WORKSPACE, _REQUEST, Place("a", _ID))
    for workspace, request in ((UUID(int=1), _REQUEST), (_WORKSPACE, QueriesList(search="a"))):
        with pytest.raises(InvalidRequest):
            paging.read_place(workspace, request, text, by_name=True)
