"""As whom custom SQL runs: the one confined user of an embedded server, or on a server of yours a user a workspace."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from asynch.proto.utils.dsn import parse_dsn

from contracts.errors import Unavailable
from services.kit.clickhouse import ClickHouse, ClickHouseError, RawStream
from services.kit.clickhouse.http import HttpInterface
from services.kit.clickhouse.wire import with_common
from services.kit.logs import log
from services.kit.settings import Settings
from services.query.sql import access

TENANT_FILTER: Final = "additional_table_filters"
"""Stands in the embedded engine, and there only, for the row policies that it has not."""
_UNKNOWN_USER: Final = frozenset((192, 516))
_SECONDS: Final = 30.0
"""For one statement that makes users: on a cluster it waits for every node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement of custom SQL that has passed the walls before. `format`: the engine's name of one; `settings`: all
    that it must run with; `timeout`: in seconds."""

    workspace: UUID
    text: str
    format: str
    settings: Mapping[str, Any]
    query_id: str
    timeout: float


class Users(Protocol):
    """Opens statements as whoever may run them for their workspace."""

    async def start(self) -> None:
        """Prepare; opens no connection yet."""

    async def close(self) -> None:
        """Close the connections."""

    async def prepare(self) -> None:
        """Make on the server what all users need, once.

        Raises:
            SwitchedOff: it cannot be made as things are.
            Unavailable: the server is away.
        """

    def stream(self, statement: Statement) -> AbstractAsyncContextManager[RawStream]:
        """Open a statement's result.

        Raises:
            As `ClickHouse.http_stream`; SwitchedOff as `prepare`.
        """


def users_of(settings: Settings) -> Users | None:
    """Return the users that the settings name, None for none: then there is no custom SQL."""
    if settings.clickhouse_sql_admin_url:
        return WorkspaceUsers(settings)
    if settings.clickhouse_sql_url:
        return OneUser(settings)
    return None


class OneUser:
    """The user of ANALYTICS_CLICKHOUSE_SQL_URL, to whom all settings are sent, the tenant's filter among them."""

    def __init__(self, settings: Settings) -> None:
        self._http = HttpInterface(settings.clickhouse_sql_url, settings.clickhouse_http_url)

    async def start(self) -> None:
        """Prepare; opens no connection yet."""
        await self._http.start()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def prepare(self) -> None:
        """Do nothing: whoever runs the server has made the user."""

    def stream(self, statement: Statement) -> AbstractAsyncContextManager[RawStream]:
        """Open a statement's result, as `Users.stream`."""
        return _opened(self._http, statement)


class WorkspaceUsers:
    """A user a workspace, made by an administrator when first needed and changed when the workspace's limits are.

    Each statement has a connection of its own, closed after it: none serves two users.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = ClickHouse(settings.clickhouse_sql_admin_url, settings.clickhouse_http_url, size=2)
        self._preparing = asyncio.Lock()
        self._prepared = False
        self._making: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._made: dict[UUID, str] = {}
        """Of each workspace whose user is there, what it was made with."""

    async def start(self) -> None:
        """Prepare; opens no connection yet."""
        await self._admin.start()

    async def close(self) -> None:
        """Close the connections."""
        await self._admin.close()

    async def prepare(self) -> None:
        """Make the role with its policies, quota and grants, once, as `Users.prepare`."""
        async with self._preparing:
            if self._prepared:
                return
            if not self._settings.clickhouse_sql_secret:
                raise SwitchedOff("ANALYTICS_CLICKHOUSE_SQL_SECRET is empty: passwords are derived from it")
            services = str(parse_dsn(self._settings.clickhouse_url).get("user", "default"))
            await self._run(access.shared_statements((services,), cluster=self._settings.clickhouse_cluster))
            self._prepared = True

    @asynccontextmanager
    async def stream(self, statement: Statement) -> AsyncIterator[RawStream]:
        """Open a statement's result, as `Users.stream`. Three of its settings are sent, the others are the user's."""
        sent = replace(statement, settings={name: statement.settings[name] for name in access.SENT})
        await self._ensure(statement)
        async with AsyncExitStack() as opened:
            try:
                stream = await opened.enter_async_context(self._open(sent))
            except ClickHouseError as error:
                if error.code not in _UNKNOWN_USER:
                    raise
                # Somebody took the user away, or gave it another password: once more, from the beginning.
                self._made.pop(statement.workspace, None)
                await self._ensure(statement)
                stream = await opened.enter_async_context(self._open(sent))
            yield stream

    async def _ensure(self, statement: Statement) -> None:
        """Make sure that the workspace's user is there, has these settings and sees its rows alone."""
        await self.prepare()
        workspace = statement.workspace
        definition = access.user_statements(
            workspace,
            self._password(workspace),
            {
                name: value
                for name, value in with_common(statement.settings).items()
                if name not in access.SENT and name != TENANT_FILTER
            },
            self._most_seconds,
            cluster=self._settings.clickhouse_cluster,
        )
        digest = hashlib.sha256("\n".join(definition).encode()).hexdigest()
        if self._made.get(workspace) == digest:
            return
        async with self._making[workspace]:
            if self._made.get(workspace) != digest:
                await self._run(definition)
                await self._look(workspace)
                self._made[workspace] = digest

    def _password(self, workspace: UUID) -> str:
        return access.password_of(workspace, self._settings.clickhouse_sql_secret)

    @property
    def _most_seconds(self) -> int:
        return int(max(self._settings.request_timeout_seconds, self._settings.stream_timeout_seconds)) + 1

    async def _run(self, statements: Sequence[str]) -> None:
        try:
            for each in statements:
                await self._admin.execute(each, timeout=_SECONDS)
        except ClickHouseError as error:
            raise SwitchedOff(f"ClickHouse refuses to make the users: error {error.code}, {error.name}") from error

    async def _look(self, workspace: UUID) -> None:
        """Ask, as the user and without any other wall, for rows that are not the workspace's."""
        question = Statement(
            workspace=workspace,
            text=access.foreign_rows(workspace),
            format="TSV",
            settings={},
            query_id=uuid.uuid4().hex,
            timeout=_SECONDS,
        )
        try:
            async with self._open(question) as stream:
                found = b"".join([chunk async for chunk in stream])
        except ClickHouseError as error:
            raise SwitchedOff(f"ClickHouse refuses a user just made: error {error.code}, {error.name}") from error
        if found != b"0\n":
            raise SwitchedOff("the user of a workspace sees rows of others: row policies do not hold on this server")

    @asynccontextmanager
    async def _open(self, statement: Statement) -> AsyncIterator[RawStream]:
        server = urlsplit(self._settings.clickhouse_sql_admin_url)
        login = f"{access.user_of(statement.workspace)}:{self._password(statement.workspace)}"
        # Not the database of the tables: names without one mean nothing.
        url = server._replace(netloc=f"{login}@{server.netloc.rpartition('@')[2]}", path="/default", query="")
        http = HttpInterface(urlunsplit(url), self._settings.clickhouse_http_url, bare=True)
        await http.start()
        try:
            async with _opened(http, statement) as stream:
                yield stream
        finally:
            await http.close()


class SwitchedOff(Unavailable):
    """Custom SQL must not run on this server as it is. The log says why."""

    def __init__(self, reason: str) -> None:
        super().__init__("custom SQL is switched off: the log of the query service says why", retry_after=5)
        log(logging.ERROR, "no custom SQL", reason=reason)


def _opened(http: HttpInterface, statement: Statement) -> AbstractAsyncContextManager[RawStream]:
    return http.stream(
        statement.text,
        statement.format,
        settings=statement.settings,
        query_id=statement.query_id,
        timeout=statement.timeout,
    )
