"""The PostgreSQL side of migrations: the database itself, the lock, and the versions applied."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg

# One key for everybody who migrates, whatever the store: "cdp migr" as an integer.
_LOCK = int.from_bytes(b"cdp migr")
_CONNECT_SECONDS = 10.0


async def connect(url: str) -> asyncpg.Connection:
    """Connect, creating the database when it is missing.

    Raises:
        OSError: no server.
        asyncpg.PostgresError: it refuses us.
    """
    try:
        return await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
    except asyncpg.InvalidCatalogNameError:
        await _create(url)
        return await asyncpg.connect(url, timeout=_CONNECT_SECONDS)


@asynccontextmanager
async def migration_lock(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Keep others from migrating meanwhile; waits for one that does."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        sys.stdout.write("waiting for another migration to end\n")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def applied_versions(connection: asyncpg.Connection, table: str) -> set[str]:
    """Return the versions a migrations table holds; none when there is no such table."""
    if await connection.fetchval("SELECT to_regclass($1)", f"public.{table}") is None:
        return set()
    return {row["version"] for row in await connection.fetch(f'SELECT version FROM public."{table}"')}


async def dbmate_url(connection: asyncpg.Connection, url: str) -> str:
    """Return the URL for dbmate, whose driver insists on TLS unless told not to."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    encrypted = await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    query.setdefault("sslmode", ["require" if encrypted else "disable"])
    return urlunsplit(parts._replace(query=urlencode(query, doseq=True)))


async def _create(url: str) -> None:
    parts = urlsplit(url)
    name = parts.path.removeprefix("/")
    connection = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")), timeout=_CONNECT_SECONDS)
    try:
        quoted = '"' + name.replace('"', '""') + '"'
        # Two at once: the second finds it there, or in the catalogue a moment before it is visible.
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await connection.execute(f"CREATE DATABASE {quoted}")
    finally:
        await connection.close()
