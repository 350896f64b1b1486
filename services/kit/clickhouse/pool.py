"""Connections to ClickHouse: a bounded number, the one used last lent first, none shared by two statements.

asynch's own pool pings under one lock and waits for ever when it is empty. Here a connection is pinged by the driver
when a statement begins on it, outside any lock, and waiting ends with the caller's deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from asynch.proto.utils.dsn import parse_dsn

from contracts.errors import DeadlineExceeded, Unavailable
from services.kit.clickhouse.wire import Wire

ACQUIRE_SECONDS: Final = 10.0
"""Longest wait for a free connection."""
_CONNECT_SECONDS: Final = 5.0
_PING_SECONDS: Final = 2.0


class Pool:
    """At most `size` connections, opened when first needed."""

    def __init__(self, url: str, *, size: int) -> None:
        self._options = {
            "client_name": "cdp",
            "connect_timeout": _CONNECT_SECONDS,
            "sync_request_timeout": _PING_SECONDS,
            **parse_dsn(url),
            # Deadlines are the caller's; a timeout of the driver costs a task around every read.
            "send_receive_timeout": None,
        }
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Wire] = []
        self._closed = False

    def wire(self) -> Wire:
        """Return a connection outside the pool."""
        return Wire(self._options)

    @asynccontextmanager
    async def lease(self, deadline: float) -> AsyncIterator[Wire]:
        """Lend a connection until the block ends; one with a statement still pending is closed.

        `deadline` is in the loop's time and ends the wait for a free connection only.

        Raises:
            DeadlineExceeded: it came while waiting.
            Unavailable: no connection became free in ten seconds.
        """
        await self._acquire(deadline)
        try:
            wire = self._idle.pop() if self._idle else self.wire()
            try:
                yield wire
            finally:
                if wire.pending or self._closed:
                    wire.drop()
                self._idle.append(wire)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close the connections; those lent are closed when they come back."""
        self._closed = True
        for wire in self._idle:
            wire.drop()

    async def _acquire(self, deadline: float) -> None:
        patience = asyncio.get_running_loop().time() + ACQUIRE_SECONDS
        try:
            async with asyncio.timeout_at(min(deadline, patience)):
                await self._slots.acquire()
        except TimeoutError as error:
            if deadline <= patience:
                raise DeadlineExceeded("the time given for the answer is over") from error
            raise Unavailable("all connections to ClickHouse are busy", retry_after=1) from error
