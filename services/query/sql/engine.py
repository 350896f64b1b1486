"""Statements of custom SQL on ClickHouse, as the user who may do nothing else, and the settings they run with."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from contracts.common import TABLES
from contracts.errors import CdpError, LimitExceeded, Unavailable
from services.kit import sql
from services.kit.clickhouse import ClickHouse, ClickHouseError, RawStream
from services.kit.lifecycle import end
from services.kit.settings import Settings
from services.query.sql.tables import physical
from services.query.sql.users import TENANT_FILTER, Statement, SwitchedOff, users_of
from services.query.sql.version import version_problem

_EXPLAIN_LIMIT: Final = 200_000
"""Lines of an explanation that are read."""
_VERSION_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 5.0
"""How long a refusal is kept: what an operator mends takes effect without a restart."""

_log = logging.getLogger(__name__)


def settings_of(limits: Mapping[str, Any], workspace: UUID, timezone: str, seconds: float, rows: int) -> dict[str, Any]:
    """Return the settings of a statement: they stand before its text is read, and the text changes none.

    `rows`: as many as the result may have, 0 for all. The tenant's filter is the engine's own, beneath the one that the
    statement has been rewritten with; a user of the workspace has row policies in its place.
    """
    tenant = sql.string(f"workspace_id = {sql.uuid(workspace)}")
    filters = ", ".join(f"{sql.string(physical(table))}: {tenant}" for table in TABLES)
    return {
        **limits,
        "max_execution_time": max(math.ceil(seconds), 1),
        "timeout_overflow_mode": "throw",
        "session_timezone": timezone,
        "limit": rows,
        TENANT_FILTER: f"{{{filters}}}",
    }


class SqlEngine:
    """Runs statements of custom SQL. Made without reaching the server."""

    def __init__(self, settings: Settings, clickhouse: ClickHouse) -> None:
        """`clickhouse`: the handle with which statements are killed, for their own user may not."""
        self._users = users_of(settings)
        self._clickhouse = clickhouse
        self._kills: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._passed = False
        self._refused: SwitchedOff | None = None
        self._refused_until = 0.0

    @property
    def is_set_up(self) -> bool:
        """Whether the settings name whom statements run as."""
        return self._users is not None

    async def start(self) -> None:
        """Prepare, and begin to ask whether the server can run custom SQL: the log says so before anybody asks."""
        if self._users is not None:
            await self._users.start()
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Close the connections, after the statements given up have been killed."""
        if self._looking is not None:
            await end([self._looking])
        if self._kills:
            await asyncio.wait(self._kills, timeout=5)
        if self._users is not None:
            await self._users.close()

    async def passed(self) -> None:
        """Make sure, once, that the server is of a version on which its users are confined, and that they can be made.

        Raises:
            SwitchedOff: it is not, or they cannot.
            Unavailable: the server does not answer.
        """
        if self._passed:
            return
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._passed:
                return
            if self._refused is not None and now < self._refused_until:
                raise self._refused
            if self._users is None:
                raise Unavailable("custom SQL is not set up on this system (docs/sql.md)")
            try:
                await self._ask_version()
                await self._users.prepare()
            except SwitchedOff as error:
                self._refused, self._refused_until = error, now + _AGAIN_SECONDS
                raise
            self._passed = True

    async def check(self) -> None:
        """Tell at once what `passed` found last.

        Raises:
            Unavailable: it refuses, or has not been asked yet.
        """
        if not self._passed:
            raise self._refused or Unavailable("ClickHouse has not been asked yet whether it can run custom SQL")

    async def _look(self) -> None:
        """Ask until the answer is yes."""
        while not self._passed:
            try:
                await self.passed()
            except (CdpError, ClickHouseError) as error:
                _log.debug("custom SQL is not available yet: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _ask_version(self) -> None:
        result = await self._clickhouse.query("SELECT version()", query_id=uuid.uuid4().hex, timeout=_VERSION_SECONDS)
        problem = version_problem(result.data[0][0].decode())
        if problem is not None:
            raise SwitchedOff(problem)

    @asynccontextmanager
    async def stream(
        self,
        statement: str,
        format_: str,
        *,
        workspace: UUID,
        settings: Mapping[str, Any],
        query_id: str,
        timeout: float,
    ) -> AsyncIterator[RawStream]:
        """Open a statement's result as bytes in one of the engine's formats; leaving stops the query.

        Raises:
            ClickHouseError: the engine refuses the statement.
            LimitExceeded, DeadlineExceeded, TooManyRequests, Unavailable: as `ClickHouse.http_stream`.
        """
        if self._users is None:
            raise Unavailable("custom SQL is not set up on this system (docs/sql.md)")
        asked = Statement(
            workspace=workspace,
            text=statement,
            format=format_,
            settings=settings,
            query_id=query_id,
            timeout=timeout,
        )
        opened: RawStream | None = None
        try:
            async with self._users.stream(asked) as opened:
                yield opened
        finally:
            if opened is None or not opened.finished:
                self._kill_soon(query_id)

    async def explain(
        self,
        what: str,
        statement: str,
        *,
        workspace: UUID,
        settings: Mapping[str, Any],
        query_id: str,
        timeout: float,
    ) -> list[str]:
        """Return the lines of `EXPLAIN <what>` of a statement.

        Raises:
            LimitExceeded: there are too many to be read whole.
            As `stream`.
        """
        settings = {**settings, "limit": _EXPLAIN_LIMIT}
        text = f"EXPLAIN {what} {statement}"
        async with self.stream(
            text, "JSONCompactEachRow", workspace=workspace, settings=settings, query_id=query_id, timeout=timeout
        ) as stream:
            body = b"".join([chunk async for chunk in stream])
        lines = [json.loads(line)[0] for line in body.splitlines()]
        if len(lines) >= _EXPLAIN_LIMIT:
            raise LimitExceeded("the statement is too long once its tables are those of the workspace")
        return lines

    async def cancel(self, query_id: str) -> None:
        """Stop a query; one that is over or unknown is no error.

        Raises:
            Unavailable: the server is not there.
        """
        await self._clickhouse.kill(query_id)

    def _kill_soon(self, query_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._kill_quietly(query_id))
        self._kills.add(task)
        task.add_done_callback(self._kills.discard)

    async def _kill_quietly(self, query_id: str) -> None:
        try:
            await self._clickhouse.kill(query_id)
        except (CdpError, ClickHouseError) as error:
            _log.warning("query %s was not killed: %s", query_id, error)
