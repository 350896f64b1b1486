"""PostgreSQL: one pool a process, whose failures are the platform's errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from contracts.errors import Unavailable

TIMEOUT = 5.0
"""Seconds for a connection and for a statement: definitions are small, slower means trouble."""
_DOWN = (
    OSError,  # refused, reset; TimeoutError too
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "unexpected state": the connection was lost between two of its steps
)


class Postgres:
    """A pool that need not reach the server to be made, and reaches it again by itself after an outage."""

    def __init__(self, url: str, *, size: int) -> None:
        self._url, self._size = url, size
        self._pool: asyncpg.Pool | None = None

    async def start(self) -> None:
        """Prepare the pool, in the event loop that will use it; opens no connection yet."""
        self._pool = await asyncpg.create_pool(
            self._url, min_size=0, max_size=self._size, timeout=TIMEOUT, command_timeout=TIMEOUT
        )

    async def close(self) -> None:
        """Close the connections, those in use after they are given back."""
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection.

        Raises:
            Unavailable: PostgreSQL cannot be reached, or went away meanwhile.
        """
        assert self._pool is not None, "start() first"
        try:
            async with self._pool.acquire(timeout=TIMEOUT) as connection:
                yield connection
        except _DOWN as error:
            raise Unavailable("PostgreSQL does not answer", retry_after=1) from error

    async def fetchrow(self, statement: str, *values: Any) -> asyncpg.Record | None:
        """Return the first row of a statement, or None.

        Raises:
            Unavailable: as `connection`.
        """
        async with self.connection() as connection:
            return await connection.fetchrow(statement, *values)

    async def execute(self, statement: str, *values: Any) -> None:
        """Run a statement.

        Raises:
            Unavailable: as `connection`.
        """
        async with self.connection() as connection:
            await connection.execute(statement, *values)

    async def ping(self) -> None:
        """Ask the server for nothing.

        Raises:
            Unavailable: as `connection`.
        """
        await self.execute("SELECT 1")
