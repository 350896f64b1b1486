"""Parquet, some ten thousand rows at a time. Rows have no lines: their number stands for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from deploy.cli.load.chunk import Chunk
from deploy.cli.load.errors import LoadError
from deploy.cli.load.opening import Input

_BATCH = 20_000


@contextmanager
def parquet_file(source: Input) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; one inside gzip or zstd is unpacked to a temporary file, since its end is read first.

    Raises:
        LoadError: not a Parquet file.
    """
    with tempfile.TemporaryFile() as unpacked:
        stream: IO[bytes] = source.start()
        if source.is_compressed:
            shutil.copyfileobj(source.start(), unpacked)
            stream = unpacked
        try:
            yield pq.ParquetFile(stream)
        except pa.ArrowException as error:
            raise LoadError(f"{source.name} cannot be read as Parquet: {error}") from error


def parquet_rows(file: pq.ParquetFile, names: Sequence[str]) -> Iterator[Chunk]:
    """Yield the rows with the columns named."""
    row = 1
    for batch in file.iter_batches(batch_size=_BATCH, columns=list(names)):
        columns = {name: batch.column(i).to_pylist() for i, name in enumerate(batch.schema.names)}
        numbers = range(row, row + batch.num_rows)
        row += batch.num_rows
        sources = [_Row(columns, i) for i in range(batch.num_rows)]
        yield Chunk(rows=numbers, lines=numbers, sources=sources, columns=columns)


class _Row:
    """A row that becomes text only when it is rejected."""

    __slots__ = ("_at", "_columns")

    def __init__(self, columns: Mapping[str, Sequence[object]], at: int) -> None:
        self._columns = columns
        self._at = at

    def __str__(self) -> str:
        return str({name: values[self._at] for name, values in self._columns.items()})
