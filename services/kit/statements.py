"""The statements of one request on ClickHouse: one deadline, one set of limits, and what they have read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from contracts.common import Facts
from contracts.errors import LimitExceeded
from contracts.workspace import Limits
from services.kit.clickhouse import ClickHouse, External, RawStream, Result, RowStream
from services.kit.cost import NO_LIMITS, explained, least
from services.kit.predicates import SETTINGS as EXPRESSION_SETTINGS
from services.kit.settings import Settings

PAGE_BYTES: Final = 32 * 1024 * 1024
"""Text of the rows of one page, which is held in memory as a whole."""
_PAGE_BLOCK_ROWS: Final = 1024
STREAMED: Final[Mapping[str, Any]] = {
    # Rows are written before they are sorted: texts sort, and spill, in half the time of JSON columns.
    "query_plan_execute_functions_after_sorting": 0,
}
"""ClickHouse settings of a streamed statement, besides its `limits`."""


@dataclass(slots=True)
class Query:
    """The statements of one request: one deadline, one set of limits, ids that begin alike (`<id>-1`, `<id>-2`)."""

    id: str
    clickhouse: ClickHouse
    settings: dict[str, Any]
    deadline: float
    statements: int = 0
    rows_read: int = 0
    bytes_read: int = 0

    def _next_id(self) -> str:
        # A server may still be winding up the statement before: an id in use is refused.
        self.statements += 1
        return f"{self.id}-{self.statements}"

    @property
    def _timeout(self) -> float:
        return max(self.deadline - asyncio.get_running_loop().time(), 0.001)

    async def run(self, statement: str, *, external: Sequence[External] = ()) -> Result:
        """Run a statement to its end and return its columns; it may read the `external` tables by their names."""
        with explained(self.settings):
            result = await self.clickhouse.query(
                statement,
                settings=self.settings,
                query_id=self._next_id(),
                timeout=self._timeout,
                external=external,
            )
        self.rows_read += result.rows_read
        self.bytes_read += result.bytes_read
        return result

    def facts(self, as_of: datetime) -> Facts:
        """Return the `meta` of an answer computed by the statements run so far."""
        return Facts(rows_read=self.rows_read, bytes_read=self.bytes_read, as_of=as_of, query_id=self.id)

    async def page(self, statement: str, *, external: Sequence[External] = ()) -> Result:
        """Run a statement whose first column is text that goes into one answer; `external` as in `run`.

        Raises:
            LimitExceeded: it is too much for one answer.
        """
        settings = self.settings | {"max_block_size": _PAGE_BLOCK_ROWS}
        size = 0
        opened = self.clickhouse.stream(
            statement, settings=settings, query_id=self._next_id(), timeout=self._timeout, external=external
        )
        with explained(settings):
            async with opened as stream:
                data: list[list[Any]] = [[] for _ in stream.columns]
                async for block in stream:
                    size += sum(map(len, block[0]))
                    if size > PAGE_BYTES:
                        raise LimitExceeded(
                            f"the page is over {PAGE_BYTES >> 20} MiB: ask for fewer rows or columns, or for a stream"
                        )
                    for column, values in zip(data, block, strict=True):
                        column.extend(values)
                self.rows_read += stream.rows_read
                self.bytes_read += stream.bytes_read
                return Result(stream.columns, data, stream.rows_read, stream.bytes_read)

    @asynccontextmanager
    async def stream(self, statement: str) -> AsyncIterator[RowStream]:
        """Open a statement's result as blocks; leaving stops the query."""
        settings = {**self.settings, **STREAMED}
        opened = self.clickhouse.stream(statement, settings=settings, query_id=self._next_id(), timeout=self._timeout)
        with explained(settings):
            async with opened as stream:
                yield stream

    @asynccontextmanager
    async def raw(self, statement: str, format_: str) -> AsyncIterator[RawStream]:
        """Open a statement's result as bytes in one of the engine's formats; leaving stops the query."""
        opened = self.clickhouse.http_stream(
            statement, format_, settings=self.settings, query_id=self._next_id(), timeout=self._timeout
        )
        with explained(self.settings):
            async with opened as stream:
                yield stream


def limits(settings: Settings, narrowed: Limits = NO_LIMITS) -> dict[str, Any]:
    """Return the ClickHouse settings of every statement of a request; `narrowed`: the workspace's own limits."""
    memory = least(settings.query_max_memory_bytes, narrowed.max_memory_bytes)
    return {
        **EXPRESSION_SETTINGS,
        "max_memory_usage": memory,
        "max_rows_to_read": least(settings.query_max_rows_to_read, narrowed.max_rows_to_read),
        "max_bytes_to_read": least(settings.query_max_bytes_to_read, narrowed.max_bytes_to_read),
        # Less makes more pieces to merge, each with a block in memory: 2.5 million rows of one month, at 1 GiB,
        # took the engine to 940 MB with a fifth, 800 with a tenth and 1,090 with a thirtieth.
        "max_bytes_before_external_sort": memory // 10,
        "max_bytes_ratio_before_external_sort": 0,
        # Pieces are merged a block of each at a time; blocks of 16 MB, the default, took 320 MB more for 3 M rows.
        "prefer_external_sort_block_bytes": 1_000_000,
        # What is grouped goes to disk beyond this: paths of 3 M events took 950 MB, and with 200 MB in memory 300, at
        # little cost in time.
        "max_bytes_before_external_group_by": memory // 3,
        "max_bytes_ratio_before_external_group_by": 0,
        "do_not_merge_across_partitions_select_final": 1,
        "date_time_output_format": "iso",
    }
