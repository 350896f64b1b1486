"""What a file is and how its rows are read: format, columns, chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.csv_rows import csv_header, csv_rows
from deploy.cli.load.errors import LoadError
from deploy.cli.load.mapping import Format, Mapping
from deploy.cli.load.ndjson_rows import ndjson_rows
from deploy.cli.load.opening import Input, damage_named
from deploy.cli.load.parquet_rows import parquet_file, parquet_rows
from deploy.cli.load.segment import Call, looks_like_calls

MAX_LINE_BYTES: Final = 1 << 20
_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_COMPRESSED: Final = (".gz", ".gzip", ".zst", ".zstd")


@dataclass
class Source:
    """A file whose format is known. `names` are its columns, None for NDJSON."""

    input: Input
    format: Format
    names: tuple[str, ...] | None
    delimiter: str = ","
    header: bool = True
    max_line_bytes: int = MAX_LINE_BYTES

    def chunks(self) -> Iterator[Chunk | Reject]:
        """Yield the rows, from the first.

        Raises:
            LoadError: the file is damaged.
        """
        with damage_named(self.input.name):
            if self.format == "parquet":
                with parquet_file(self.input) as file:
                    yield from parquet_rows(file, self.names or ())
            elif self.format == "csv":
                yield from csv_rows(
                    self.input.start(),
                    self.names or (),
                    header=self.header,
                    delimiter=self.delimiter,
                    limit=self.max_line_bytes,
                )
            else:
                row: Any = Call if self.format == "segment" else dict[str, Any]
                yield from ndjson_rows(self.input.start(), row, limit=self.max_line_bytes)


def recognise(source: Input, mapping: Mapping | None, max_line_bytes: int = MAX_LINE_BYTES) -> Source:
    """Return a file with its format: what the mapping says, else the name, else the content.

    Raises:
        LoadError: no rows, no header, or a format that needs a mapping and has none.
    """
    head = source.head()
    if not head.strip():
        raise LoadError(f"{source.name} is empty")
    format_: Format = (mapping.format if mapping else None) or _by_name(source.name) or _by_content(head)
    if head.startswith(b"PAR1"):
        format_ = "parquet"
    if format_ == "ndjson" and (mapping is None or not mapping.events) and _begins_with_call(head):
        format_ = "segment"
    if format_ != "segment" and (mapping is None or not mapping.events):
        raise LoadError(
            f"{source.name} is {format_}, which needs a mapping: --map FILE, or --table with --user-column, "
            "--timestamp-column and so on (docs/loading.md); only Segment calls need none"
        )
    found = Source(source, format_, None, max_line_bytes=max_line_bytes)
    if format_ == "csv":
        found.delimiter = (mapping.delimiter if mapping else "") or ("\t" if ".tsv" in source.name.lower() else ",")
        given = mapping.columns if mapping else ()
        found.header = not given
        found.names = tuple(given) or csv_header(head, found.delimiter)
    elif format_ == "parquet":
        with ExitStack() as stack, damage_named(source.name):
            found.names = tuple(stack.enter_context(parquet_file(source)).schema_arrow.names)
    return found


def _by_name(name: str) -> Format | None:
    name = name.lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return next((format_ for suffix, format_ in _SUFFIXES.items() if name.endswith(suffix)), None)


def _by_content(head: bytes) -> Format:
    return "ndjson" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"


def _begins_with_call(head: bytes) -> bool:
    """Whether one of the first lines is a Segment call: a bad line may come first."""
    for line in head.split(b"\n")[:20]:
        try:
            if looks_like_calls(msgspec.json.decode(line)):
                return True
        except (msgspec.DecodeError, RecursionError):
            continue
    return False
