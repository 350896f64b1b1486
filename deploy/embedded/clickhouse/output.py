"""A result in any format, streamed: the engine writes it into a pipe as if INTO OUTFILE, and is held back by it.

Its streaming call yields each block as a document of its own, which is right for Native blocks only: a CSV header or
a Parquet footer would come with every block. Writing to a file is the engine's one way to a whole document without
holding it in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .engine import Connection, Engine
from .errors import ServerError
from .tokens import literal

PIECE = 1 << 20


class Output:
    """Pieces of the document; ``finish`` raises what went wrong while it was made."""

    def __init__(self, reader: asyncio.StreamReader, query: asyncio.Task[bytes]) -> None:
        self._reader = reader
        self._query = query

    async def piece(self) -> bytes:
        """The next bytes, b"" at the end."""
        return await self._reader.read(PIECE)

    async def finish(self) -> None:
        await self._query


@asynccontextmanager
async def select(engine: Engine, connection: Connection, sql: str, name: str) -> AsyncIterator[Output]:
    """Run a SELECT for its document in the format ``name``; leaving early stops the query."""
    read_end, write_end = os.pipe()
    with contextlib.suppress(OSError):  # beyond the bound for ordinary users the pipe keeps its size
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIECE)
    target = f"INTO OUTFILE {literal(f'/dev/fd/{write_end}')} APPEND COMPRESSION 'none' FORMAT {name}"
    query = asyncio.create_task(engine.run(connection.execute, f"{sql}\n{target}"))
    query.add_done_callback(lambda _: os.close(write_end))
    reader = asyncio.StreamReader(limit=PIECE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    try:
        yield Output(reader, query)
    finally:
        transport.close()
        while not query.done():
            await engine.stop_query(connection)
            await asyncio.wait([query], timeout=0.1)
        with contextlib.suppress(ServerError):
            query.result()
