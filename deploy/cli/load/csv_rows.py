"""CSV: rows of one header, RFC 4180 quoting, line numbers kept.

A block whose lines are all whole records is parsed at once by Arrow. Any other is taken record by record by the csv
module; one that cannot be read costs its first line only, and the next line is a new attempt, so that a stray quote
does not swallow the rows after it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final

import pyarrow as pa
import pyarrow.csv as pc

from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.coded import Coded
from deploy.cli.load.errors import LoadError
from deploy.cli.load.lines import BLOCK, blocks

_CUT_OFF: Final = "unexpected end of data"


def csv_header(head: bytes, delimiter: str) -> tuple[str, ...]:
    """Return the column names of a file that begins with `head`.

    Raises:
        LoadError: no header, or one that names a column twice.
    """
    text = head.decode("utf-8-sig", "replace")
    try:
        names = next((row for row in csv.reader(_lines(text.split("\n")), delimiter=delimiter, strict=True) if row), [])
    except csv.Error as error:
        raise LoadError(f"the header of the CSV file cannot be read: {error}") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if not any(names) or twice:
        raise LoadError(f"the CSV file names {', '.join(twice)} twice" if twice else "the CSV file has no header")
    return tuple(names)


def csv_rows(
    stream: IO[bytes], names: Sequence[str], *, header: bool, delimiter: str, limit: int, block: int = BLOCK
) -> Iterator[Chunk | Reject]:
    """Yield chunks of good rows and the lines that are none. `limit` is the longest line, in bytes."""
    csv.field_size_limit(limit)
    reader = _CsvReader(tuple(names), delimiter, limit, header)
    for data in blocks(stream, limit, block):
        yield from reader.block(data, final=False)
    yield from reader.block(b"", final=True)


class _CsvReader:
    def __init__(self, names: tuple[str, ...], delimiter: str, limit: int, header: bool) -> None:
        self.names = names
        self.delimiter = delimiter
        self.limit = limit
        self.header = header
        self.line = 1
        self.row = 1
        self.carry: list[str] = []
        field = f'(?:"(?:[^"]|"")*"|[^"{re.escape(delimiter)}]*)'
        self.well_quoted = re.compile(f"{field}(?:{re.escape(delimiter)}{field})*").fullmatch

    def block(self, data: bytes, final: bool) -> Iterator[Chunk | Reject]:
        if self.line == 1 and not self.carry:
            data = data.removeprefix(b"\xef\xbb\xbf")
        if final and not self.carry:
            return
        try:
            text, is_utf8 = data.decode(), True
        except UnicodeDecodeError:
            text, is_utf8 = data.decode("utf-8", "surrogateescape"), False
        lines = [] if final else text.split("\n")
        if self.header:
            lines = self._without_header(lines)
            text = "\n".join(lines)
        if is_utf8 and lines and not self.carry and (chunk := self._whole(text)) is not None:
            yield chunk
            return
        if self.carry:
            is_utf8 = False  # what is carried may not be: let each record be checked
            lines, self.carry = self.carry + lines, []
        yield from self._each(lines, final, is_utf8)

    def _without_header(self, lines: list[str]) -> list[str]:
        at = 0
        while at < len(lines) and self.header:
            used, fields, reason = self._record(lines, at, is_utf8=True)
            self.header = not (fields or reason)
            at += used
        self.line += at
        return lines[at:]

    def _whole(self, text: str) -> Chunk | None:
        """Return all lines as one chunk, None unless each is one record with the right number of fields."""
        text = text.replace("\r\n", "\n").removesuffix("\r")
        lines = text.split("\n")
        if "\r" in text or max(map(len, lines)) > self.limit // 4:
            return None
        if '"' in text and not all(self.well_quoted(line) for line in lines if '"' in line):
            return None
        columns = _parse_records(text, self.names, self.delimiter)
        if columns is None or len(columns[self.names[0]]) != len(lines):
            return None
        chunk = Chunk(
            rows=range(self.row, self.row + len(lines)),
            lines=range(self.line, self.line + len(lines)),
            sources=lines,
            columns=columns,
        )
        self.line += len(lines)
        self.row += len(lines)
        return chunk

    def _each(self, lines: list[str], final: bool, is_utf8: bool) -> Iterator[Chunk | Reject]:
        found: list[list[str]] = []
        places: list[tuple[int, int, str]] = []
        at = 0
        while at < len(lines):
            used, fields, reason = self._record(lines, at, is_utf8)
            if reason == _CUT_OFF and not final and sum(map(len, lines[at:])) <= self.limit:
                self.carry = lines[at:]
                break
            source = "\n".join(lines[at : at + used])
            if reason:
                yield Reject(line=self.line, row=self.row, reason=reason, source=_as_bytes(source))
            elif fields:
                found.append(fields)
                places.append((self.row, self.line, source))
            self.row += 1 if fields or reason else 0
            self.line += used
            at += used
        if found:
            rows, numbers, sources = zip(*places, strict=True)
            columns = dict(zip(self.names, zip(*found, strict=True), strict=True))
            yield Chunk(rows=rows, lines=numbers, sources=sources, columns=columns)

    def _record(self, lines: Sequence[str], at: int, is_utf8: bool) -> tuple[int, list[str], str]:
        """Return the lines a record takes, its fields, and why it is none; no fields and no reason: a blank line."""
        if len(lines[at]) > self.limit:
            return 1, [], f"longer than {self.limit} bytes"
        reader = csv.reader(_lines(lines, at), delimiter=self.delimiter, strict=True)
        try:
            fields = next(reader)
        except csv.Error as error:
            return 1, [], str(error)
        if not is_utf8 and not _is_text(fields):
            return 1, [], "not UTF-8"
        if fields and len(fields) != len(self.names):
            return 1, [], f"{len(fields)} fields where the header has {len(self.names)}"
        return reader.line_num, fields, ""


def _parse_records(text: str, names: Sequence[str], delimiter: str) -> dict[str, Sequence[str]] | None:
    """Return the columns of lines that are whole records, None when one has another number of fields.

    Each distinct value of a column becomes one Python object: many times as fast as the csv module.
    """
    kinds = dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string()))
    try:
        table = pc.read_csv(
            pa.py_buffer(text.encode()),
            read_options=pc.ReadOptions(column_names=list(names), use_threads=False, block_size=1 << 30),
            parse_options=pc.ParseOptions(delimiter=delimiter),
            convert_options=pc.ConvertOptions(column_types=kinds, strings_can_be_null=False),
        ).combine_chunks()
    except pa.ArrowException:
        return None
    columns: dict[str, Sequence[str]] = {}
    for name in names:
        column = table.column(name).chunk(0)
        columns[name] = Coded(column.dictionary.to_pylist(), column.indices.to_pylist())
    return columns


def _lines(lines: Sequence[str], at: int = 0) -> Iterable[str]:
    while at < len(lines):
        yield lines[at] + "\n"
        at += 1


def _is_text(fields: Sequence[str]) -> bool:
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
