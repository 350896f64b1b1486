"""The data of an INSERT on its way into the engine: written to a pipe that the engine reads as if FROM INFILE.

The engine's own streaming insert (send_insert) reports success when writing to the table has failed: a violated
constraint or an exception in a materialized view is lost. Through INFILE every error arrives, in any format, with the
defaults of omitted columns, in bounded memory and with back-pressure.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os

from .engine import Connection, Engine
from .errors import ServerError
from .native import Column
from .tokens import literal

PIPE_SIZE = 1 << 20
KILL_INTERVAL = 0.1
_NONSENSE = b"\xff" * 16
"""Bytes that end an abandoned Native stream in an error even if its last block was whole."""


class Intake:
    """One running INSERT. After a failure it swallows the rest: the client is told at the end of its data."""

    def __init__(self, engine: Engine, connection: Connection) -> None:
        self._engine = engine
        self._connection = connection
        self._query: asyncio.Task[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._failure: ServerError | None = None
        self._native = False

    async def start(self, sql: str, input_format: str, settings: str = "") -> Intake:
        """Begin; ``sql`` is the INSERT up to its SETTINGS, VALUES or FORMAT, ``settings`` its SETTINGS clause."""
        read_end, write_end = os.pipe()
        with contextlib.suppress(OSError):  # beyond the bound for ordinary users the pipe keeps its size
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(write_end, "wb", buffering=0)
        )
        transport.set_write_buffer_limits(high=PIPE_SIZE)
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
        self._native = input_format == "Native"
        source = f"FROM INFILE {literal(f'/dev/fd/{read_end}')} COMPRESSION 'none' {settings} FORMAT {input_format}"
        self._query = asyncio.create_task(self._engine.run(self._connection.execute, f"{sql}\n{source}"))
        self._query.add_done_callback(lambda _: os.close(read_end))
        return self

    async def append(self, data: bytes) -> None:
        """Pass data on; waits while the engine is behind."""
        assert self._writer is not None
        assert self._query is not None
        if self._query.done():
            return
        with contextlib.suppress(ConnectionError):  # the query has failed: finish tells why
            self._writer.write(data)
            await self._writer.drain()

    def expect(self, columns: list[Column], received: list[Column]) -> None:
        """Note an error when a block has other columns than were asked for."""
        names, given = [name for name, _ in columns], [name for name, _ in received]
        if received and sorted(names) != sorted(given) and self._failure is None:
            self._failure = ServerError(10, f"Block has columns {given}, expected {names}")

    async def finish(self) -> int:
        """Commit and return the number of rows written, or raise what went wrong."""
        assert self._writer is not None
        assert self._query is not None
        if self._failure is not None:
            raise self._failure
        self._writer.close()
        await asyncio.shield(self._query)
        return self._connection.progress.get("written_rows", 0)

    async def abandon(self) -> None:
        """Roll back what is not committed and see the query end. Nothing to do after ``finish``."""
        if self._query is None or self._writer is None:
            return
        if not self._query.done() and not self._writer.is_closing():
            await self._engine.stop_query(self._connection)
            if self._native:
                self._writer.write(_NONSENSE)
            self._writer.close()
        while not self._query.done():
            await self._engine.stop_query(self._connection)
            await asyncio.wait([self._query], timeout=KILL_INTERVAL)
        if not self._query.cancelled():
            self._query.exception()
        self._writer.close()
