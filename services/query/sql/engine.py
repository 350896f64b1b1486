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
from services.kit.clickhouse.http import HttpInterface
from services.kit.settings import Settings
from services.query.sql.access import version_problem
from services.query.sql.tables import physical

_EXPLAIN_LIMIT: Final = 200_000
"""Lines of an explanation that are read."""
_VERSION_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


def settings_of(limits: Mapping[str, Any], workspace: UUID, timezone: str, seconds: float, rows: int) -> dict[str, Any]:
    """Return the settings of a statement: they stand before its text is read, and the text changes none.

    `rows`: as many as the result may have, 0 for all. `additional_table_filters` is the engine's own filter of the
    tenant, beneath the one that the statement has been rewritten with.
    """
    tenant = sql.string(f"workspace_id = {sql.uuid(workspace)}")
    filters = ", ".join(f"{sql.string(physical(table))}: {tenant}" for table in TABLES)
    return {
        **limits,
        "max_execution_time": max(math.ceil(seconds), 1),
        "timeout_overflow_mode": "throw",
        "session_timezone": timezone,
        "limit": rows,
        "additional_table_filters": f"{{{filters}}}",
    }


class SqlEngine:
    """The connection of custom SQL. Made without reaching the server."""

    def __init__(self, settings: Settings, clickhouse: ClickHouse) -> None:
        """`clickhouse`: the handle with which statements are killed, for their own user may not."""
        url = settings.clickhouse_sql_url
        self._http = HttpInterface(url, settings.clickhouse_http_url) if url else None
        self._clickhouse = clickhouse
        self._kills: set[asyncio.Task[None]] = set()
        self._version_passed = False

    async def start(self) -> None:
        """Prepare; opens no connection yet."""
        if self._http is not None:
            await self._http.start()

    async def close(self) -> None:
        """Close the connections, after the statements given up have been killed."""
        if self._kills:
            await asyncio.wait(self._kills, timeout=5)
        if self._http is not None:
            await self._http.close()

    async def passed(self) -> None:
        """Make sure, once, that the server is of a version on which its user is confined.

        Raises:
            Unavailable: it is not, or does not answer.
        """
        if self._version_passed:
            return
        result = await self._clickhouse.query("SELECT version()", query_id=uuid.uuid4().hex, timeout=_VERSION_SECONDS)
        problem = version_problem(result.data[0][0].decode())
        if problem is not None:
            _log.error("no custom SQL: %s", problem)
            raise Unavailable("custom SQL is switched off: the log of the query service says why")
        self._version_passed = True

    @asynccontextmanager
    async def stream(
        self, statement: str, format_: str, *, settings: Mapping[str, Any], query_id: str, timeout: float
    ) -> AsyncIterator[RawStream]:
        """Open a statement's result as bytes in one of the engine's formats; leaving stops the query.

        Raises:
            ClickHouseError: the engine refuses the statement.
            LimitExceeded, DeadlineExceeded, TooManyRequests, Unavailable: as `ClickHouse.http_stream`.
        """
        if self._http is None:
            raise Unavailable("custom SQL is not set up on this system: ANALYTICS_CLICKHOUSE_SQL_URL names no user")
        opened: RawStream | None = None
        try:
            async with self._http.stream(
                statement, format_, settings=settings, query_id=query_id, timeout=timeout
            ) as opened:
                yield opened
        finally:
            if opened is None or not opened.finished:
                self._kill_soon(query_id)

    async def explain(
        self, what: str, statement: str, *, settings: Mapping[str, Any], query_id: str, timeout: float
    ) -> list[str]:
        """Return the lines of `EXPLAIN <what>` of a statement.

        Raises:
            LimitExceeded: there are too many to be read whole.
            As `stream`.
        """
        settings = {**settings, "limit": _EXPLAIN_LIMIT}
        text = f"EXPLAIN {what} {statement}"
        async with self.stream(
            text, "JSONCompactEachRow", settings=settings, query_id=query_id, timeout=timeout
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
