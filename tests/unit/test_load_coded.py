"""Columns that hold each value once are the columns they stand for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.load import native
from deploy.cli.load.coded import Coded, distinct_of, replaced
from deploy.cli.load.memo import each, each_of, kinds_of
from deploy.cli.load.piece import encode_json, plain_values

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@st.composite
def columns(draw: st.DrawFn, values: st.SearchStrategy[Any] = VALUES, size: int | None = None) -> Coded[Any]:
    """Columns of which each value is at least once in a row."""
    distinct = draw(st.lists(values, min_size=1, max_size=5))
    rest = draw(st.lists(st.integers(0, len(distinct) - 1), max_size=6)) if size is None else []
    return Coded(distinct, draw(st.permutations([*range(len(distinct)), *rest])))


@given(columns(), st.integers(-3, 12), st.integers(-3, 12))
def test_a_coded_column_is_the_list_it_stands_for(column: Coded[Any], start: int, stop: int) -> None:
    plain = list(column)
    assert len(column) == len(plain)
    assert [column[i] for i in range(len(column))] == plain
    assert column[start:stop] == plain[start:stop]
    assert kinds_of(column) == kinds_of(plain)
    assert (None in column, "" in column) == (None in plain, "" in plain)
    assert set(map(repr, distinct_of(column))) == set(map(repr, plain))
    assert list(replaced(column, [repr(value) for value in distinct_of(column)])) == list(map(repr, plain))


@given(columns(), columns(), columns())
def test_functions_of_coded_columns_are_those_of_lists(a: Coded[Any], b: Coded[Any], c: Coded[Any]) -> None:
    def shown(*values: Any) -> str:
        return repr(values)

    size = min(map(len, (a, b, c)))
    cut = [Coded(column.distinct, column.codes[:size]) for column in (a, b, c)]
    plain = [list(column) for column in cut]
    assert list(each(shown, cut[0])) == [shown(value) for value in plain[0]]
    expected = [shown(*row) for row in zip(*plain, strict=True)]
    assert list(each_of(shown, cut)) == expected
    assert list(each_of(shown, [cut[0], *plain[1:]])) == expected


@given(columns(st.text()))
def test_texts_are_encoded_alike(column: Coded[str]) -> None:
    assert native.texts(column) == native.texts(list(column))


@given(st.dictionaries(st.sampled_from(["a", "b", "c.d"]), columns(size=4), max_size=3))
def test_objects_are_encoded_alike(paths: dict[str, Coded[Any]]) -> None:
    size = min(map(len, paths.values()), default=2)
    coded = {path: plain_values(Coded(column.distinct[:size], range(size))) for path, column in paths.items()}
    plain = {path: plain_values(list(column)) for path, column in coded.items()}
    for type_ in ("JSON(max_dynamic_paths=64)", "JSON(max_dynamic_paths=64, a Nullable(String))"):
        assert encode_json(coded, type_, size) == encode_json(plain, type_, size)


@pytest.mark.parametrize("values", [[Decimal("1.50"), 1, True], [2**64], ["a", None]])
def test_values_in_their_json_form(values: list[Any]) -> None:
    coded = Coded(values, [*range(len(values)), 0])
    assert list(plain_values(coded)) == plain_values(list(coded))
