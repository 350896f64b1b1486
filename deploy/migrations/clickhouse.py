"""The ClickHouse side of migrations: the database itself and the versions applied, over HTTP."""

from __future__ import annotations

from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from deploy.migrations.dbmate import MigrationError
from services.kit.settings import Settings

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5)


class ClickHouseAdmin:
    """Statements for one ClickHouse, with the login of `clickhouse_url`."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        native = urlsplit(settings.clickhouse_url)
        self._session = session
        self._login = {"X-ClickHouse-User": unquote(native.username or "default")}
        if native.password:
            self._login["X-ClickHouse-Key"] = unquote(native.password)
        self._url = URL(settings.clickhouse_http_url).with_user(None)
        self._cluster = settings.clickhouse_cluster
        self.database = native.path.removeprefix("/") or "default"

    async def create_database(self) -> None:
        """Create the database of the URL when it is missing."""
        cluster = f" ON CLUSTER {_identifier(self._cluster)}" if self._cluster else ""
        await self._run(f"CREATE DATABASE IF NOT EXISTS {_identifier(self.database)}{cluster}")

    async def applied_versions(self, table: str) -> set[str]:
        """Return the versions a migrations table holds; none when there is no such table."""
        where = f"database = {_string(self.database)} AND name = {_string(table)}"
        if (await self._run(f"SELECT count() FROM system.tables WHERE {where} FORMAT TabSeparated")).strip() == "0":
            return set()
        name = f"{_identifier(self.database)}.{_identifier(table)}"
        return set((await self._run(f"SELECT version FROM {name} FINAL WHERE applied FORMAT TabSeparated")).split())

    async def _run(self, sql: str) -> str:
        try:
            async with self._session.post(self._url, data=sql.encode(), headers=self._login, timeout=_TIMEOUT) as reply:
                text = await reply.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise MigrationError(f"ClickHouse does not answer at {self._url}: {error}") from error
        if reply.status != 200:
            raise MigrationError(f"ClickHouse: {text.strip()[:2000]}")
        return text


def dbmate_url(settings: Settings) -> str:
    """Return the URL for dbmate: the same, and the cluster its own table lives on."""
    parts = urlsplit(settings.clickhouse_url)
    query = parts.query
    if settings.clickhouse_cluster:
        query = urlencode({"on_cluster": "true", "cluster_macro": settings.clickhouse_cluster})
    return urlunsplit(parts._replace(query=query))


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _string(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
