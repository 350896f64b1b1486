"""Reading files: formats, line numbers, garbage."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.csv_rows import csv_header, csv_rows
from deploy.cli.load.errors import LoadError
from deploy.cli.load.mapping import EventMapping, Mapping
from deploy.cli.load.ndjson_rows import ndjson_rows
from deploy.cli.load.opening import open_input
from deploy.cli.load.source import recognise

NAMES = ("a", "b", "c")
MAPPING = Mapping(user_id="a", timestamp="b", events=(EventMapping(table="identify"),))


def read_csv(
    data: bytes, *, block: int = 1 << 20, limit: int = 10_000
) -> tuple[list[tuple[int, list[str]]], list[Reject]]:
    rows: list[tuple[int, list[str]]] = []
    rejects = []
    for item in csv_rows(io.BytesIO(data), NAMES, header=True, delimiter=",", limit=limit, block=block):
        if isinstance(item, Reject):
            rejects.append(item)
        else:
            assert item.columns is not None
            columns = [item.columns[name] for name in NAMES]
            rows += [(line, list(row)) for line, row in zip(item.lines, zip(*columns, strict=True), strict=True)]
    return rows, rejects


@pytest.mark.parametrize("block", [7, 64, 1 << 20])
def test_quoted_fields_may_hold_commas_quotes_and_line_breaks(block: int) -> None:
    rows, rejects = read_csv(b'a,b,c\n1,"x, y","say ""hi"""\n2,"two\nlines",z\n\n3,,\n', block=block)
    assert rows == [(2, ["1", "x, y", 'say "hi"']), (3, ["2", "two\nlines", "z"]), (6, ["3", "", ""])]
    assert rejects == []


@pytest.mark.parametrize("block", [5, 1 << 20])
def test_bad_lines_are_told_with_their_number_and_the_others_are_read(block: int) -> None:
    data = b'a,b,c\n1,2,3\n1,2\n1,2,3,4\n4,"open,6\n7,8,9\n\xff\xfe,8,9\n1,"x"y,3\n' + b"x" * 20_000 + b",2,3\n5,6,7\n"
    rows, rejects = read_csv(data, block=block)
    assert rows == [(2, ["1", "2", "3"]), (6, ["7", "8", "9"]), (10, ["5", "6", "7"])]
    reasons = {reject.line: reject.reason for reject in rejects}
    assert reasons[3] == "2 fields where the header has 3"
    assert reasons[4] == "4 fields where the header has 3"
    assert set(reasons) == {3, 4, 5, 7, 8, 9}
    assert reasons[7] == "not UTF-8"
    assert "longer than 10000 bytes" in reasons[9]


def test_a_quote_that_never_closes_costs_its_line_only() -> None:
    lines = [b"a,b,c", b'1,"open,3', *(b"%d,y,z" % i for i in range(500))]
    rows, rejects = read_csv(b"\n".join(lines), limit=2_000)
    assert len(rows) == 500
    assert [reject.line for reject in rejects] == [2]


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_the_data() -> None:
    rows, rejects = read_csv(b"\xef\xbb\xbfa,b,c\r\n1,2,3\r\n4,5,6\r\n")
    assert ([row for _, row in rows], rejects) == ([["1", "2", "3"], ["4", "5", "6"]], [])


def test_the_header_must_name_each_column_once() -> None:
    assert csv_header(b'\xef\xbb\xbf\n"a b",c\n', ",") == ("a b", "c")
    with pytest.raises(LoadError, match="twice"):
        csv_header(b"a,b,a\n", ",")


_garbage = st.one_of(
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from(
        [b'"', b"1,2", b'1,"2', b'1,"a"b,3', b"\xff\xfe,1,2", b"1,2,3,4", b"\r", b"a\rb,1,2", b'""",1,2', b""]
    ),
)
_field = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=8)


@given(st.lists(st.tuples(_field, _field, st.integers().map(str)), max_size=20), st.integers(5, 200))
def test_every_row_that_the_csv_module_wrote_is_read_back(rows: list[tuple[str, str, str]], block: int) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([NAMES, *rows])
    found, rejects = read_csv(buffer.getvalue().encode(), block=block)
    assert [tuple(row) for _, row in found] == rows
    assert rejects == []


@given(
    st.lists(
        st.one_of(
            _garbage, st.tuples(_field, _field).map(_line := lambda pair: f"ok,{len(pair[0])},{len(pair[1])}".encode())
        ),
        max_size=30,
    ),
    st.integers(4, 300),
)
def test_accepted_and_rejected_csv_lines_are_all_lines(lines: Sequence[bytes], block: int) -> None:
    rows, rejects = read_csv(b"\n".join([b"a,b,c", *lines]), block=block)
    taken: set[int] = set()
    for line, row in rows:
        taken |= set(range(line, line + 1 + "".join(row).count("\n")))
    refused = {reject.line for reject in rejects}
    blank = {number for number, line in enumerate(lines, 2) if not line.strip(b"\r")}
    assert not taken & refused
    assert (taken | refused) - blank == {number for number, _ in enumerate(lines, 2)} - blank
    good = {number: line for number, line in enumerate(lines, 2) if line.startswith(b"ok,")}
    read = {number: ",".join(row).encode() for number, row in rows if row[0] == "ok"}
    missing = {number for number in good if read.get(number) != good[number]}
    # Only a line that a quote opened before it can hold may be part of another record.
    assert all(any(b'"' in lines[at - 2] for at in range(2, number)) for number in missing)


_json_garbage = st.one_of(
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from(
        [b"{", b"[1]", b"null", b'{"a":1}}', b'{"a":\xff}', b"[" * 3_000, b'{"a":01}', b'{"a":NaN}', b"  "]
    ),
)
_json_row = st.dictionaries(
    _field, st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), _field), max_size=4
)


@given(st.lists(st.one_of(_json_row, _json_garbage), max_size=30), st.integers(4, 300))
def test_accepted_and_rejected_ndjson_lines_are_all_lines(lines: list[Any], block: int) -> None:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    rows: dict[int, Any] = {}
    refused = set()
    for item in ndjson_rows(io.BytesIO(b"\n".join(raw)), dict[str, Any], limit=5_000, block=block):
        if isinstance(item, Reject):
            refused.add(item.line)
        else:
            rows |= zip(item.lines, item.objects or (), strict=True)
    blank = {number for number, line in enumerate(raw, 1) if not line.strip()}
    assert set(rows) | refused | blank == set(range(1, len(raw) + 1))
    assert not set(rows) & refused
    good = {number: line for number, line in enumerate(lines, 1) if isinstance(line, dict)}
    assert {number: rows.get(number) for number in good} == good


def _packed(data: bytes, how: str) -> bytes:
    return {"plain": lambda d: d, "gzip": gzip.compress, "zstd": zstandard.compress}[how](data)


@pytest.mark.parametrize("how", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("format_", ["csv", "ndjson", "parquet"])
def test_each_format_is_read_in_each_compression_by_content(tmp_path: Path, format_: str, how: str) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": ["x", "y"], "b": [1, None]}), buffer)
    data = {"csv": b"a,b\nx,1\ny,\n", "ndjson": b'{"a":"x","b":1}\n{"a":"y"}\n', "parquet": buffer.getvalue()}[format_]
    path = tmp_path / "rows"
    path.write_bytes(_packed(data, how))
    with open_input(str(path)) as source:
        found = recognise(source, MAPPING)
        assert found.format == format_
        chunks = [chunk for chunk in found.chunks() if isinstance(chunk, Chunk)]
        assert [value for chunk in chunks for value in chunk.raw_column("a")] == ["x", "y"]
        assert [str(value) for chunk in chunks for value in chunk.raw_column("b")] == ["1", "None"]
        assert [row for chunk in chunks for row in chunk.rows] == [1, 2]


def test_the_hash_is_that_of_the_content_whatever_the_compression(tmp_path: Path) -> None:
    hashes = set()
    for how in ("plain", "gzip", "zstd"):
        path = tmp_path / how
        path.write_bytes(_packed(b"a,b\n1,2\n", how))
        with open_input(str(path)) as source:
            hashes.add(source.content_hash())
    assert len(hashes) == 1


def test_zstd_files_may_hold_several_frames(tmp_path: Path) -> None:
    path = tmp_path / "frames.zst"
    path.write_bytes(zstandard.compress(b"a,b\n") + zstandard.compress(b"1,2\n" * 300_000) + zstandard.compress(b"3,4"))
    with open_input(str(path)) as source:
        assert source.start().read() == b"a,b\n" + b"1,2\n" * 300_000 + b"3,4"


def test_damaged_compression_is_an_error_with_the_file_name(tmp_path: Path) -> None:
    for how in ("gzip", "zstd"):
        path = tmp_path / f"cut.{how}"
        path.write_bytes(_packed(b"a,b\n" + bytes(range(256)) * 500, how)[:-40])
        with open_input(str(path)) as source, pytest.raises(LoadError, match="cut"):
            source.content_hash()


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "is empty"), (b"a,b\n1,2\n", "needs a mapping"), (b'{"a":1}\n', "needs a mapping")]
)
def test_a_file_that_cannot_be_loaded_says_why(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with open_input(str(path)) as source, pytest.raises(LoadError, match=message):
        recognise(source, None)


def test_segment_calls_are_recognised_behind_a_bad_first_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_bytes(b'oops\n{"type":"track","userId":"u","event":"E"}\n')
    with open_input(str(path)) as source:
        assert recognise(source, None).format == "segment"
