"""Keeping profiles up with the events: one process of all replicas does it, the others wait for it to go away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg
import nats.errors
from nats.aio.msg import Msg

from contracts import subjects
from contracts.errors import CdpError
from services.kit.clickhouse import ClickHouseError
from services.kit.lifecycle import end
from services.kit.logs import log
from services.profile.privacy import again
from services.profile.projection import blocking, reading, traits
from services.profile.projection.blocks import Place, Read, look
from services.profile.projection.project import project
from services.profile.projection.reading import Reader
from services.profile.projection.rebuild import rebuild
from services.profile.resources import Resources

_POLL_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.2
"""Between two looks at least: rows that come meanwhile are read together."""
_AT_ONCE: Final = 4_000
"""Keys projected in one transaction."""
_LEADER: Final = int.from_bytes(b"projects")
_LEAD: Final = "SELECT pg_try_advisory_lock($1)"
_CONNECTION: Final = {
    # A leader whose machine is gone must lose its lock within seconds.
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
_TROUBLE: Final = (CdpError, ClickHouseError, asyncpg.PostgresError, asyncpg.InterfaceError, nats.errors.Error, OSError)


class Projector:
    """The projector of one process."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._reader = Reader(resources.clickhouse, resources.settings.clickhouse_cluster)
        self._hint = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Project while the block runs, unless ingestion owns the profiles."""
        if self._resources.settings.profiles_source == "external":
            yield
            return
        # A hint: rows are found without it, a second later.
        await self._resources.bus.connection.subscribe(subjects.INGESTED, cb=self._ingested)
        task = asyncio.create_task(self._work(), name="projector")
        try:
            yield
        finally:
            await end([task])

    async def _ingested(self, _: Msg) -> None:
        self._hint.set()

    async def _work(self) -> None:
        while True:
            try:
                async with _leading(self._resources.settings.postgres_url) as connection:
                    await self._lead(connection)
            except _TROUBLE as error:
                log(logging.WARNING, "profiles wait", reason=type(error).__name__)
            except Exception as error:  # a table of a migration still to come: the next time may do
                log(logging.ERROR, "profiles wait", error=error)
            await asyncio.sleep(_POLL_SECONDS)

    async def _lead(self, connection: asyncpg.Connection) -> None:
        """Project until something fails: then another process may lead."""
        log(logging.INFO, "projecting profiles")
        await self._resources.schema.passed()
        patience = await self._reader.patience()
        read = await reading.load(connection)
        if read is None:
            read = await self._begin(connection)
        blocked = await blocking.load(connection)
        while True:
            self._hint.clear()
            await traits.send_left(self._resources.postgres, self._resources.clickhouse)
            blocked = await blocking.follow(self._resources, self._reader, connection, blocked)
            read = await self._step(connection, read, patience)
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._hint.wait()
            except TimeoutError:
                continue

    async def _begin(self, connection: asyncpg.Connection) -> dict[Place, Read]:
        """Make the profiles of all events there are, of which nobody is told."""
        started = time.monotonic()
        blocked = await self._reader.blocked()
        _, read = look({}, (await self._reader.parts()).parts, now=started, patience=0)
        workspaces, people = await self._reader.workspaces(), 0
        for workspace in workspaces:
            people += await rebuild(self._resources, workspace, publish=False)
        await blocking.save(connection, await blocking.load(connection), blocked)
        await reading.save(connection, read)
        seconds = round(time.monotonic() - started, 1)
        log(logging.INFO, "profiles made of all events", workspaces=len(workspaces), profiles=people, seconds=seconds)
        return read

    async def _step(
        self, connection: asyncpg.Connection, read: Mapping[Place, Read], patience: float
    ) -> dict[Place, Read]:
        """Project whom new rows concern; return what has been read."""
        found = await self._reader.parts()
        blocks, after = look(read, found.parts, now=time.monotonic(), patience=patience)
        if blocks:
            await self._reader.follow_links(blocks)
            async for by_workspace in self._reader.keys(blocks):
                await _project_all(self._resources, by_workspace)
        if after != read:
            # On the connection that holds the lock: who lost it keeps nothing.
            await reading.save(connection, after)
        return after


async def _project_all(resources: Resources, by_workspace: Mapping[UUID, Sequence[int]]) -> None:
    for workspace, keys in by_workspace.items():
        await again.noticed(resources, workspace, keys)
        for first in range(0, len(keys), _AT_ONCE):
            await project(resources, workspace, keys[first : first + _AT_ONCE])


@asynccontextmanager
async def _leading(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Wait to be the one that leads, and be it while the block runs or until the connection breaks."""
    connection = await asyncpg.connect(url, timeout=5, command_timeout=30, server_settings=_CONNECTION)
    try:
        while True:  # and not a statement that waits: it would keep PostgreSQL from cleaning up behind everybody
            if await connection.fetchval(_LEAD, _LEADER):
                break
            await asyncio.sleep(_POLL_SECONDS)
        yield connection
    finally:
        connection.terminate()
