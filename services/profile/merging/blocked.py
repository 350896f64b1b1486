"""Blocking an id changes whose events are whose: the profiles concerned are made anew.

The query service writes what is blocked to ClickHouse. What the profiles were made with is kept in PostgreSQL; where
the two differ, the ids of the difference are projected, and then it is noted.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final, TypeAlias
from uuid import UUID

from contracts.errors import CdpError
from services.kit import identity, sql
from services.kit.clickhouse import Result
from services.kit.lifecycle import end
from services.kit.logs import log
from services.profile.ids import signed, unsigned
from services.profile.projection import project
from services.profile.resources import Resources

_EVERY_SECONDS: Final = 2.0
_SECONDS: Final = 30.0
_AT_ONCE: Final = 1_000
_TABLE: Final = "cdp.identity_blocked FINAL WHERE NOT undone"
_STORED: Final = "SELECT workspace_id, actor_keys FROM profile.blocked"
_STORE: Final = """
INSERT INTO profile.blocked (workspace_id, actor_keys) VALUES ($1, $2)
ON CONFLICT (workspace_id) DO UPDATE SET actor_keys = excluded.actor_keys
"""
Mark: TypeAlias = tuple[int, int]
"""How many keys a set has, and all of them XORed: equal for equal sets. Keys are hashes."""
_NONE: Final[Mark] = (0, 0)


class BlockedWatch:
    """Follows what workspaces block. Several processes may: each finds the work of another done, or does it again."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._known: dict[UUID, Mark] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch while the block runs."""
        task = asyncio.create_task(self._work(), name="blocked")
        try:
            yield
        finally:
            await end([task])

    async def look(self) -> None:
        """Bring the profiles of workspaces whose blocked ids changed up to date.

        Raises:
            As the stores.
        """
        if self._known is None:
            async with self._resources.postgres.connection() as connection:
                rows = await connection.fetch(_STORED)
            self._known = {row["workspace_id"]: _mark(map(unsigned, row["actor_keys"])) for row in rows}
        now = await self._marks()
        for workspace in now.keys() | self._known.keys():
            mark = now.get(workspace, _NONE)
            if mark != self._known.get(workspace, _NONE):
                await self._follow(workspace)
                self._known[workspace] = mark

    async def _work(self) -> None:
        while True:
            try:
                await self.look()
            except CdpError as error:
                log(logging.WARNING, "blocked ids were not looked at", reason=type(error).__name__)
            except Exception as error:
                # A table of a migration still to come: the next look may do.
                log(logging.ERROR, "blocked ids were not looked at", error=error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def _marks(self) -> dict[UUID, Mark]:
        result = await self._read(f"workspace_id, count(), groupBitXor(actor_key) FROM {_TABLE} GROUP BY workspace_id")
        return {workspace: (count, mixed) for workspace, count, mixed in result.rows()}

    async def _follow(self, workspace: UUID) -> None:
        """Make the profiles of one workspace what its blocked ids say."""
        resources, mine = self._resources, f"workspace_id = {sql.uuid(workspace)}"
        now = {key for (key,) in (await self._read(f"actor_key FROM {_TABLE} AND {mine}")).rows()}
        row = await resources.postgres.fetchrow(f"{_STORED} WHERE workspace_id = $1", workspace)
        changed = now.symmetric_difference(map(unsigned, [] if row is None else row["actor_keys"]))
        if changed:
            await identity.reload_identity(resources.clickhouse, cluster=resources.settings.clickhouse_cluster)
            for keys in _chunks(await self._concerned(mine, changed)):
                await project(resources, workspace, keys)
            await resources.postgres.execute(_STORE, workspace, sorted(map(signed, now)))

    async def _concerned(self, mine: str, changed: Collection[int]) -> list[int]:
        """Return ids and those seen with them: rows of a blocked user belong to the anonymous id beside it."""
        listed = ", ".join(f"toUInt64({key})" for key in sorted(changed))
        result = await self._read(
            "DISTINCT arrayJoin([anonymous_key, user_key]) FROM cdp.identity_links "
            f"WHERE {mine} AND (anonymous_key IN ({listed}) OR user_key IN ({listed}))"
        )
        return sorted({*changed, *(key for (key,) in result.rows())})

    async def _read(self, selected: str) -> Result:
        return await self._resources.clickhouse.query(f"SELECT {selected}", query_id=uuid.uuid4().hex, timeout=_SECONDS)


def _mark(keys: Collection[int] | Iterator[int]) -> Mark:
    count, mixed = 0, 0
    for key in keys:
        count, mixed = count + 1, mixed ^ key
    return count, mixed


def _chunks(keys: list[int]) -> Iterator[list[int]]:
    rest = iter(keys)
    while chunk := list(islice(rest, _AT_ONCE)):
        yield chunk
