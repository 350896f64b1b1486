"""Rows of a streamed answer are counted as they pass, however it is cut into pieces."""

from __future__ import annotations

import csv
import io
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.query.sql.counting import Lines, Records

PLAIN = settings(max_examples=200, deadline=None, derandomize=True, database=None)
VALUES = st.text(alphabet='a",\n\r', max_size=6)


def _pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    return [body[start:end] for start, end in pairwise(places)]


@PLAIN
@given(st.lists(st.tuples(VALUES, st.integers(), VALUES), max_size=8), st.lists(st.integers(0, 100), max_size=6))
def test_records_of_csv_are_counted_without_the_names(rows: list[tuple[str, int, str]], cuts: list[int]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerows([("first\nname", "n", '"x"'), *rows])
    counter = Records()
    for piece in _pieces(text.getvalue().encode(), cuts):
        counter.add(piece)
    assert counter.rows == len(rows)


@PLAIN
@given(st.integers(0, 9), st.lists(st.integers(0, 100), max_size=6))
def test_lines_are_counted(rows: int, cuts: list[int]) -> None:
    counter = Lines()
    for piece in _pieces(b'{"a":"\\n"}\n' * rows, cuts):
        counter.add(piece)
    assert counter.rows == rows
