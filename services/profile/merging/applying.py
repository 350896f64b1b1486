"""What PostgreSQL accepted becomes true everywhere: in ClickHouse, in the profiles, in caches. Whoever comes next does
what a process that died left undone; doing it twice does no harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg
import nats.errors

from contracts import subjects
from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.errors import CdpError
from services.kit import identity
from services.kit.lifecycle import end
from services.kit.logs import log
from services.profile.ids import unsigned
from services.profile.merging import store
from services.profile.projection import project
from services.profile.resources import Resources

_EVERY_SECONDS: Final = 3.0
_AT_ONCE: Final = 200
_TABLE: Final = "cdp.identity_merges"
_COLUMNS: Final = ("workspace_id", "loser_key", "winner_key", "winner_kind", "winner_id", "undone", "version")


class Applier:
    """Applies merges, one batch at a time in a process: those of all workspaces that wait meanwhile are the next batch,
    for the dictionary takes some tenths of a second to load, however many they are."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._turn = asyncio.Lock()
        self._waiting: set[UUID] = set()

    async def apply(self, *workspaces: UUID) -> None:
        """Apply the merges of some workspaces that are not yet.

        Raises:
            Unavailable: a store is away; what was not done will be.
        """
        self._waiting.update(workspaces)
        async with self._turn:
            if self._waiting.isdisjoint(workspaces):
                return  # another batch had them
            batch, self._waiting = self._waiting, set()
            failed: dict[UUID, Exception] = {}
            try:
                while await _apply(self._resources, batch - failed.keys(), failed):
                    pass
            except BaseException:
                self._waiting |= batch  # whoever else waits for them tries, too
                raise
            self._waiting |= failed.keys() - set(workspaces)
        for workspace in failed.keys() & set(workspaces):
            raise failed[workspace]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Apply what is left of any workspace, at once and every few seconds, while the block runs."""
        task = asyncio.create_task(self._work(), name="merges")
        try:
            yield
        finally:
            await end([task])

    async def _work(self) -> None:
        while True:
            try:
                if workspaces := await store.unapplied(self._resources.postgres):
                    await self.apply(*workspaces)
            except CdpError as error:
                log(logging.WARNING, "merges are not applied yet", reason=type(error).__name__)
            except Exception as error:
                # A table of a migration still to come, a statement the engine refuses: the next time may do.
                log(logging.ERROR, "merges are not applied", error=error)
            await asyncio.sleep(_EVERY_SECONDS)


async def _apply(resources: Resources, workspaces: Collection[UUID], failed: dict[UUID, Exception]) -> bool:
    """Apply some; tells whether there were any. A workspace whose profiles cannot be made is no reason for others to
    wait: why goes into `failed`."""
    async with store.pending(resources.postgres, workspaces, _AT_ONCE) as rows:
        if not rows:
            return False
        values = [store.in_clickhouse(row) for row in rows]
        await resources.clickhouse.insert(_TABLE, _COLUMNS, list(zip(*values, strict=True)))
    await identity.reload_identity(resources.clickhouse, cluster=resources.settings.clickhouse_cluster)
    for workspace in {row["workspace_id"] for row in rows}:
        mine = [row for row in rows if row["workspace_id"] == workspace]
        keys = {unsigned(row[key]) for row in mine for key in ("loser_key", "winner_key")}
        try:
            await project(resources, workspace, keys)
        except Exception as error:
            failed[workspace] = error
            continue
        await _drop(resources, CacheDrop(workspace_id=workspace, tags=dropped(workspace, mine)))
        await store.applied(resources.postgres, mine)
    return True


async def _drop(resources: Resources, drop: CacheDrop) -> None:
    try:
        await resources.bus.connection.publish(subjects.CACHE_DROP, encode(drop))
    except (nats.errors.Error, OSError) as error:  # a gateway that missed it waits for the time to live
        log(logging.WARNING, "caches were not told", reason=type(error).__name__)


def dropped(workspace: UUID, rows: Sequence[asyncpg.Record]) -> tuple[str, ...]:
    """Return the tags of what caches must no longer answer: analyses resolve people, so all of them, and profiles."""
    people = [person for row in rows for person in (store.winner_of(row), store.loser_of(row))]
    return ("workspace", "profiles", *sorted({f"profile:{person.profile(workspace)}" for person in people}))
