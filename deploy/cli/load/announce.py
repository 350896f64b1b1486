"""Tells the rest of the platform about new rows: identity first, then `events.ingested`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from contracts import headers, subjects
from contracts.base import encode
from contracts.common import TableName
from contracts.durable import EventsIngested
from contracts.errors import CdpError
from deploy.cli.load.piece import Piece
from deploy.cli.load.values import EPOCH
from services.kit.clickhouse import ClickHouseError

_RELOAD_SECONDS: Final = 1.0
_MOST_USERS: Final = 100
"""A message names the users only when there are so few; otherwise readers look at the rows."""
_MOST_PENDING: Final = 1_000


class Announcer:
    """Reloads identity at most once a second and publishes what that made visible. NATS may be away: what could not be
    published is tried again at the end, and then left to readers' polling."""

    def __init__(self, workspace: UUID, nats_url: str, reload: Callable[[], Awaitable[object]], load_id: str) -> None:
        self._workspace = workspace
        self._url = nats_url
        self._reload = reload
        self._load_id = load_id
        self._pending: list[tuple[str, EventsIngested]] = []
        self._number = 0
        self._last = 0.0
        self._lock = asyncio.Lock()
        self._connection: Client | None = None
        self.problem = ""
        """Why messages could not be published; '' when all were."""

    async def start(self) -> None:
        """Connect to NATS if it is there."""
        try:
            self._connection = await connect(self._url, "cdp-load")
        except (NatsError, OSError, TimeoutError) as error:
            self.problem = f"NATS does not answer: {str(error) or type(error).__name__}"

    async def inserted(self, pieces: Sequence[Piece]) -> None:
        """Take note of rows that ClickHouse has acknowledged."""
        if not pieces:
            return
        async with self._lock:
            self._number += 1
            self._pending.append((f"{self._load_id}:{self._number}", _describe(self._workspace, pieces)))
            if asyncio.get_running_loop().time() - self._last >= _RELOAD_SECONDS:
                await self._flush()

    async def finish(self) -> None:
        """Publish what is left."""
        async with self._lock:
            if self._pending:
                if self._connection is None or not self._connection.is_connected:
                    await self.start()
                await self._flush()

    async def close(self) -> None:
        """Leave NATS."""
        if self._connection is not None:
            await self._connection.close()

    async def _flush(self) -> None:
        try:
            await self._reload()
        except (CdpError, ClickHouseError) as error:
            self.problem = f"identity was not reloaded: {error}"
            return
        self._last = asyncio.get_running_loop().time()
        if self._connection is None or not self._connection.is_connected:
            self._pending = list(_merged(self._pending)) if len(self._pending) > _MOST_PENDING else self._pending
            return
        stream = self._connection.jetstream(timeout=5)
        subject = subjects.ingested(self._workspace)
        try:
            while self._pending:
                message_id, event = self._pending[0]
                await stream.publish(subject, encode(event), headers={headers.MSG_ID: message_id})
                del self._pending[0]
            self.problem = ""
        except (NatsError, OSError, TimeoutError) as error:
            self.problem = f"NATS did not take a message: {str(error) or type(error).__name__}"


async def connect(url: str, name: str) -> Client:
    """Connect to NATS now or not at all.

    Raises:
        nats.errors.Error, OSError, TimeoutError: it does not answer.
    """
    return await nats.connect(
        servers=url.split(","),
        name=name,
        connect_timeout=2,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        error_cb=_ignore,
    )


async def _ignore(error: Exception) -> None:
    """What a publish meets is raised there; nats-py would also print it."""


def _describe(workspace: UUID, pieces: Sequence[Piece]) -> EventsIngested:
    users: set[str] = set()
    for piece in pieces:
        if len(users) <= _MOST_USERS:
            users.update(piece.user_ids)
    users.discard("")
    # Rows of unknown people have no user id: then the list would not be all of them.
    complete = len(users) <= _MOST_USERS and all(all(piece.user_ids) for piece in pieces)
    return EventsIngested(
        workspace_id=workspace,
        tables=tuple(sorted({piece.table for piece in pieces})),
        rows=sum(map(len, pieces)),
        from_=EPOCH + timedelta(milliseconds=min(min(piece.times) for piece in pieces)),
        to=EPOCH + timedelta(milliseconds=max(max(piece.times) for piece in pieces)),
        user_ids=tuple(sorted(users)) if complete else None,
        source="load",
    )


def _merged(pending: Sequence[tuple[str, EventsIngested]]) -> Iterator[tuple[str, EventsIngested]]:
    """Yield one message a table in place of many."""
    by_tables: dict[tuple[TableName, ...], tuple[str, EventsIngested]] = {}
    for message_id, event in pending:
        if event.tables in by_tables:
            message_id, known = by_tables[event.tables]
            event = EventsIngested(
                workspace_id=event.workspace_id,
                tables=event.tables,
                rows=known.rows + event.rows,
                from_=min(known.from_, event.from_),
                to=max(known.to, event.to),
                source=event.source,
            )
        by_tables[event.tables] = message_id, event
    yield from by_tables.values()
