"""The ClickHouse side of migrations: the database itself and the versions applied."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from contracts.errors import CdpError
from deploy.migrations.dbmate import MigrationError
from services.kit import sql
from services.kit.clickhouse import ClickHouse, ClickHouseError
from services.kit.settings import Settings

_SECONDS = 60.0


class ClickHouseAdmin:
    """Statements for the ClickHouse of the settings. Connects to the database `default`: ours may not exist yet."""

    def __init__(self, settings: Settings) -> None:
        parts = urlsplit(settings.clickhouse_url)
        self.database = unquote(parts.path.removeprefix("/")) or "default"
        self._cluster = settings.clickhouse_cluster
        url = urlunsplit(parts._replace(path="/default"))
        self._server = ClickHouse(url, settings.clickhouse_http_url, size=1)

    async def create_database(self) -> None:
        """Create the database of the URL when it is missing.

        Raises:
            MigrationError: the server is not there, or refuses.
        """
        cluster = f" ON CLUSTER {sql.identifier(self._cluster)}" if self._cluster else ""
        async with _explained():
            await self._server.execute(f"CREATE DATABASE IF NOT EXISTS {sql.identifier(self.database)}{cluster}")

    async def applied_versions(self, table: str) -> set[str]:
        """Return the versions a migrations table of dbmate holds; none when there is no such table.

        Raises:
            MigrationError: the server is not there, or refuses.
        """
        where = f"database = {sql.string(self.database)} AND name = {sql.string(table)}"
        if await self._first_column(f"SELECT count() FROM system.tables WHERE {where}") == [0]:
            return set()
        name = f"{sql.identifier(self.database)}.{sql.identifier(table)}"
        found = await self._first_column(f"SELECT version FROM {name} FINAL WHERE applied")
        return {version.decode() for version in found}

    async def close(self) -> None:
        """Close the connection."""
        await self._server.close()

    async def _first_column(self, query: str) -> list[Any]:
        async with _explained():
            result = await self._server.query(query, query_id=uuid.uuid4().hex, timeout=_SECONDS)
        return result.data[0] if result.data else []


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    try:
        yield
    except (CdpError, ClickHouseError) as error:
        raise MigrationError(f"ClickHouse: {error}") from error


def dbmate_url(settings: Settings) -> str:
    """Return the URL for dbmate: the same, and the cluster its own table lives on."""
    parts = urlsplit(settings.clickhouse_url)
    query = parts.query
    if settings.clickhouse_cluster:
        query = urlencode({"on_cluster": "true", "cluster_macro": settings.clickhouse_cluster})
    return urlunsplit(parts._replace(query=query))
