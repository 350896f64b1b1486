"""The handle on ClickHouse: queries, streams of blocks, inserts, commands over its native protocol.

Results are read as blocks of columns, never as rows: one await a row costs ten times as much.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from contracts.errors import CdpError, DeadlineExceeded, Unavailable
from services.kit import sql as literals
from services.kit.clickhouse.errors import ClickHouseError
from services.kit.clickhouse.http import HttpInterface, RawStream
from services.kit.clickhouse.pool import Pool
from services.kit.clickhouse.results import Column, Result, RowStream
from services.kit.clickhouse.wire import Wire

READING: Final[Mapping[str, Any]] = {
    "strings_as_bytes": True,  # of the driver: texts need not be UTF-8, and most are only passed on
    "output_format_native_write_json_as_string": 1,
}
"""Settings of every statement that returns rows."""
STREAM_ROWS: Final = 16_384
"""Rows of a streamed block: it must fit in memory, and decoding one holds the event loop for some milliseconds."""
_AGAIN: Final = "-again"
_QUERY_ROWS: Final = 65_536
_APART_SECONDS: Final = 5.0
_COMMAND_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class External:
    """A table that travels with one query: `structure` as (name, type), `rows` as tuples of plain values."""

    name: str
    structure: Sequence[Column]
    rows: Sequence[tuple[Any, ...]]


class ClickHouse:
    """One process's connections to ClickHouse. Made without reaching the server; finds it again after an outage.

    A statement whose task is cancelled, whose deadline comes, or whose stream is left early is killed on the server.
    """

    def __init__(self, url: str, http_url: str, *, size: int) -> None:
        """`url`: ``clickhouse[s]://user:password@host:port/database?compression=lz4``; `size`: connections at most."""
        self._pool = Pool(url, size=size)
        self._http = HttpInterface(url, http_url)
        self._kills: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Prepare; opens no connection yet."""
        await self._http.start()

    async def close(self) -> None:
        """Close the connections, after the statements given up have been killed."""
        if self._kills:
            await asyncio.wait(self._kills, timeout=_APART_SECONDS)
        self._pool.close()
        await self._http.close()

    async def query(
        self,
        sql: str,
        *,
        settings: Mapping[str, Any] = {},
        query_id: str,
        timeout: float,
        external: Sequence[External] = (),
    ) -> Result:
        """Run a reading statement and return its whole result; `timeout` in seconds.

        Raises:
            DeadlineExceeded: the time is over.
            LimitExceeded, TooManyRequests: the server's limits.
            Unavailable: the server is not there, or went away.
            ClickHouseError: the server refuses the statement.
        """
        settings = {"max_block_size": _QUERY_ROWS, **settings}
        async with self.stream(sql, settings=settings, query_id=query_id, timeout=timeout, external=external) as stream:
            data: list[list[Any]] = [[] for _ in stream.columns]
            async for block in stream:
                for column, values in zip(data, block, strict=True):
                    column.extend(values)
            return Result(stream.columns, data, stream.rows_read, stream.bytes_read)

    @asynccontextmanager
    async def stream(
        self,
        sql: str,
        *,
        settings: Mapping[str, Any] = {},
        query_id: str,
        timeout: float,
        external: Sequence[External] = (),
    ) -> AsyncIterator[RowStream]:
        """Open the result of a reading statement as blocks; `timeout` covers all of them.

        Raises:
            As `query`, here and while blocks are read.
        """
        settings = {**READING, "max_block_size": STREAM_ROWS, **settings}
        async with self._lease(query_id, timeout) as (wire, deadline):
            reused = wire.connected
            try:
                header = await _ask(wire, sql, settings, query_id, external, deadline)
            except Unavailable:
                if not reused or wire.connected:
                    raise
                # It died in the pool, before any answer came; asking twice does no harm. Under another id, for a server
                # that is still there may not know yet that the first is in vain.
                self._kill_soon(query_id)
                header = await _ask(wire, sql, settings, query_id + _AGAIN, external, deadline)
            yield RowStream(wire, header, deadline)

    async def execute(
        self, sql: str, *, settings: Mapping[str, Any] = {}, query_id: str = "", timeout: float = _COMMAND_SECONDS
    ) -> None:
        """Run a statement that returns nothing of interest (DDL, SYSTEM, INSERT … SELECT).

        Raises:
            As `query`. After Unavailable or DeadlineExceeded it may or may not have been done.
        """
        query_id = query_id or uuid.uuid4().hex
        async with self._lease(query_id, timeout) as (wire, deadline), wire.until(deadline):
            await wire.run(sql, query_id=query_id, settings=settings)

    async def insert(
        self,
        table: str,
        columns: Sequence[str],
        data: Sequence[Sequence[Any]],
        *,
        settings: Mapping[str, Any] = {},
        query_id: str = "",
        timeout: float = _COMMAND_SECONDS,
    ) -> None:
        """Insert rows, given column by column, in one statement. `table` is SQL (``cdp.events_track``).

        Raises:
            As `execute`.
        """
        query_id = query_id or uuid.uuid4().hex
        names = ", ".join(literals.identifier(column) for column in columns)
        async with self._lease(query_id, timeout) as (wire, deadline), wire.until(deadline):
            await wire.insert(
                f"INSERT INTO {table} ({names}) VALUES",
                [list(column) for column in data],
                query_id=query_id,
                settings=settings,
            )

    @asynccontextmanager
    async def http_stream(
        self, sql: str, format: str, *, settings: Mapping[str, Any] = {}, query_id: str, timeout: float
    ) -> AsyncIterator[RawStream]:
        """Open the result of a reading statement as bytes in one of ClickHouse's formats (Parquet, ArrowStream…).

        Raises:
            As `query`, here and while bytes are read.
        """
        opened: RawStream | None = None
        try:
            async with self._http.stream(sql, format, settings=settings, query_id=query_id, timeout=timeout) as opened:
                yield opened
        finally:
            if opened is None or not opened.finished:
                self._kill_soon(query_id)

    async def ping(self) -> None:
        """Ask the server for nothing, on a connection of its own.

        Raises:
            Unavailable, ClickHouseError: as `query`.
        """
        await self._apart("SELECT 1")

    async def kill(self, query_id: str) -> None:
        """Stop a query, from a connection of its own; one that is over or unknown is no error.

        Raises:
            Unavailable, ClickHouseError: as `query`.
        """
        await self._kill(query_id, query_id + _AGAIN)

    @asynccontextmanager
    async def _lease(self, query_id: str, timeout: float) -> AsyncIterator[tuple[Wire, float]]:
        """Lend a connection and the deadline; whatever is pending on it at the end is killed."""
        deadline = asyncio.get_running_loop().time() + timeout
        async with self._pool.lease(deadline) as wire:
            try:
                yield wire, deadline
            finally:
                if wire.pending:
                    self._kill_soon(query_id, query_id + _AGAIN)

    async def _apart(self, sql: str) -> None:
        wire = self._pool.wire()
        try:
            async with wire.until(asyncio.get_running_loop().time() + _APART_SECONDS):
                await wire.run(sql, query_id=uuid.uuid4().hex, settings={})
        except DeadlineExceeded as error:
            raise Unavailable("ClickHouse does not answer", retry_after=1) from error
        finally:
            wire.drop()

    async def _kill(self, *query_ids: str) -> None:
        await self._apart(f"KILL QUERY WHERE query_id IN ({', '.join(map(literals.string, query_ids))}) ASYNC")

    def _kill_soon(self, *query_ids: str) -> None:
        """Kill in the background: whoever leaves is not kept waiting, and the error raised stays their own."""
        task = asyncio.get_running_loop().create_task(self._kill_quietly(*query_ids))
        self._kills.add(task)
        task.add_done_callback(self._kills.discard)

    async def _kill_quietly(self, *query_ids: str) -> None:
        try:
            await self._kill(*query_ids)
        except Unavailable:
            _log.debug("query %s was not killed: the server is away", query_ids[0])
        except (CdpError, ClickHouseError) as error:
            _log.warning("query %s was not killed: %s", query_ids[0], error)


async def _ask(
    wire: Wire, sql: str, settings: Mapping[str, Any], query_id: str, external: Sequence[External], deadline: float
) -> Any | None:
    tables = [{"name": each.name, "structure": list(each.structure), "data": list(each.rows)} for each in external]
    async with wire.until(deadline):
        await wire.ask(sql, query_id=query_id, settings=settings, external=tables)
        return await wire.block()
