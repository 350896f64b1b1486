"""Following the event tables: whom new rows concern is projected, and so is whoever blocked ids concern."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from services.kit.lifecycle import end
from services.kit.logs import log
from services.profile.projection import blocking, reading, traits
from services.profile.projection.blocking import Blocked
from services.profile.projection.blocks import Place, Read, look
from services.profile.projection.project import project
from services.profile.projection.reading import Reader
from services.profile.projection.rebuild import rebuild
from services.profile.resources import Resources

Before = Callable[[Resources, UUID, Collection[int]], Awaitable[None]]
_AT_ONCE: Final = 4_000
"""Keys projected in one transaction."""
_ANALYZE: Final = "ANALYZE profiles, profile.identities, profile.trait_origins"
_ANALYZE_SECONDS: Final = 300.0


class Follower:
    """What has been read and projected so far: `read` of the event tables, `blocked` ids. A step that fails leaves both
    as they were, and is repeated. `before` is told of keys (of a workspace) before they are projected."""

    def __init__(self, resources: Resources, before: Before | None = None) -> None:
        self._resources, self._before = resources, before
        self.reader = Reader(resources.clickhouse, resources.settings.clickhouse_cluster)
        self.read: dict[Place, Read] = {}
        self.blocked: Blocked = frozenset()
        self._patience = 0.0

    async def start(self, connection: asyncpg.Connection) -> None:
        """Go on where somebody stopped. The first time, make the profiles of all events there are; nobody is told of
        them."""
        self._patience = await self.reader.patience()
        read = await reading.load(connection)
        self.blocked = await blocking.load(connection)
        if read is not None:
            self.read = read
            return
        started = time.monotonic()
        _, self.read = look({}, await self.reader.parts(), now=started, patience=0)
        self.blocked = await self.reader.blocked()
        workspaces, people = await self.reader.workspaces(), 0
        for workspace in workspaces:
            people += await rebuild(self._resources, workspace, publish=False)
        # PostgreSQL would plan for empty tables until it looks by itself.
        await connection.execute(_ANALYZE, timeout=_ANALYZE_SECONDS)
        await self.save(connection)
        seconds = round(time.monotonic() - started, 1)
        log(logging.INFO, "profiles made of all events", workspaces=len(workspaces), profiles=people, seconds=seconds)

    async def step(self) -> bool:
        """Project what is new; tell whether anything was.

        Raises:
            As `project`.
        """
        await traits.send_left(self._resources.postgres, self._resources.clickhouse)
        blocked = await blocking.follow(self._resources, self.reader, self.blocked)
        blocks, read = look(self.read, await self.reader.parts(), now=time.monotonic(), patience=self._patience)
        if blocks:
            started = time.monotonic()
            links = asyncio.create_task(self.reader.new_links(blocks))
            loading = asyncio.create_task(self._load(links))
            try:
                later: list[tuple[UUID, list[int]]] = []
                async for by_workspace in self.reader.keys(blocks):
                    linked = await links
                    later += [
                        (workspace, [key for key in keys if key in linked]) for workspace, keys in by_workspace.items()
                    ]
                    await self._project(
                        (workspace, [key for key in keys if key not in linked])
                        for workspace, keys in by_workspace.items()
                    )
                await loading
                await self._project(later)
            finally:
                await end([links, loading])
            self._resources.metrics.observe("cdp_profile_step_seconds", time.monotonic() - started)
        changed = (read, blocked) != (self.read, self.blocked)
        self.read, self.blocked = read, blocked
        return changed

    async def save(self, connection: asyncpg.Connection) -> None:
        """Keep how far this is."""
        async with connection.transaction():
            await reading.save(connection, self.read)
            await blocking.save(connection, self.blocked)

    async def _load(self, links: asyncio.Task[frozenset[int]]) -> None:
        """Let the dictionary know of new links. It takes longer than all else, and those whom they do not concern need
        not wait for it."""
        if await links:
            await self.reader.reload()

    async def _project(self, by_workspace: Iterable[tuple[UUID, Sequence[int]]]) -> None:
        for workspace, keys in by_workspace:
            if not keys:
                continue
            if self._before is not None:
                await self._before(self._resources, workspace, keys)
            for first in range(0, len(keys), _AT_ONCE):
                await project(self._resources, workspace, keys[first : first + _AT_ONCE])
