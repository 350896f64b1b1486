"""Results: whole, or block by block while the server makes them. Texts are bytes; decode where a text is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.kit.clickhouse.wire import Wire

Column = tuple[str, str]
"""Name and ClickHouse type."""
Block = Sequence[Sequence[Any]]
"""Some rows, column by column."""


@dataclass(frozen=True, slots=True)
class Result:
    """A whole result, column by column; `rows_read` and `bytes_read` are what the server read for it."""

    columns: list[Column]
    data: list[list[Any]]
    rows_read: int
    bytes_read: int

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return the rows as tuples."""
        return zip(*self.data, strict=True)


class RowStream:
    """The blocks of one result. Nothing is read ahead: a reader that pauses pauses the server.

    `columns` is there from the beginning.
    """

    def __init__(self, wire: Wire, header: Any | None, deadline: float) -> None:
        self._wire, self._block, self._deadline = wire, header, deadline
        self.columns: list[Column] = [] if header is None else list(header.columns_with_types)

    @property
    def rows_read(self) -> int:
        """Rows the server has read so far."""
        return self._wire.rows_read

    @property
    def bytes_read(self) -> int:
        """Bytes the server has read so far, before compression."""
        return self._wire.bytes_read

    def __aiter__(self) -> AsyncIterator[Block]:
        return self

    async def __anext__(self) -> Block:
        """Return the next block that has rows.

        Raises:
            As `ClickHouse.stream`.
        """
        block, self._block = self._block, None
        while block is None or not block.num_rows:
            if not self._wire.pending:
                raise StopAsyncIteration
            async with self._wire.until(self._deadline):
                block = await self._wire.block()
        columns: Block = block.get_columns()
        return columns
