"""Keeping profiles up with the events: one process of all replicas does it, the others wait for it to go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import nats.errors
from nats.aio.msg import Msg

from contracts import subjects
from contracts.errors import CdpError
from services.kit.clickhouse import ClickHouseError
from services.kit.lifecycle import end
from services.kit.logs import log
from services.profile.privacy import again
from services.profile.projection.follower import Follower
from services.profile.resources import Resources

_POLL_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.1
"""Between two looks at least: rows that come meanwhile are read together."""
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
        follower = Follower(self._resources, before=again.noticed)
        await follower.start(connection)
        while True:
            self._hint.clear()
            found = await follower.step()
            if found:
                # On the connection that holds the lock: who lost it keeps nothing.
                await follower.save(connection)
            await asyncio.sleep(_PAUSE_SECONDS)
            if found:  # where rows came, more may have come meanwhile
                continue
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._hint.wait()
            except TimeoutError:
                continue


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
