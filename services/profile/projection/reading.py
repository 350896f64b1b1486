"""Reading new rows: where they are, whom they concern, and what has been read, which PostgreSQL keeps."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from services.kit import identity
from services.kit.clickhouse import ClickHouse, Result
from services.profile.projection import fresh_sql, second
from services.profile.projection.blocks import Blocks, Part, Place, Read

SECONDS: Final = 120.0
"""For a statement: one may read everything that a load of many millions of rows has left."""
PAGE: Final = 20_000
_LINKS: Final = 10_000
"""As many new links at once are followed before anybody is projected."""
_SETTINGS: Final = {
    # Of a cluster's replicas always the same one: parts and rows must be those of one server.
    "load_balancing": "in_order",
    "max_bytes_before_external_group_by": 268_435_456,
}
_LOAD: Final = "SELECT shard, table_name, partition_id, block FROM profile.progress"
_FORGET: Final = "DELETE FROM profile.progress"
_SAVE: Final = """
INSERT INTO profile.progress (shard, table_name, partition_id, block)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
"""
_NOWHERE: Final = Place("", "", "")
"""Kept to tell that there is progress, even when there were no events."""


class Reader:
    """The event tables of one server or cluster."""

    def __init__(self, clickhouse: ClickHouse, cluster: str) -> None:
        self._clickhouse, self._cluster = clickhouse, cluster

    async def patience(self) -> float:
        """Return how long a gap in the block numbers stays open, in seconds: see `blocks`."""
        engines = await self._query(fresh_sql.tables(self._cluster))
        return 60.0 if any(engine.startswith(b"Replicated") for (engine,) in engines.rows()) else 0.0

    async def parts(self) -> list[Part]:
        """Return what is there."""
        rows = await self._query(fresh_sql.parts(self._cluster))
        return [
            Part(Place(shard.decode(), table.decode(), partition.decode()), first, last)
            for shard, table, partition, first, last in rows.rows()
        ]

    async def workspaces(self) -> list[UUID]:
        """Return those that have events."""
        return [workspace for (workspace,) in (await self._query(fresh_sql.workspaces())).rows()]

    async def new_links(self, blocks: Sequence[Blocks]) -> frozenset[int]:
        """Return the keys of the ids that new rows link and the dictionary does not join yet.

        Where they are many, the dictionary is reloaded first, and there are none."""
        missing = fresh_sql.links_that_are_missing(blocks, self._cluster)
        await self._clickhouse.execute(missing, settings=_SETTINGS, timeout=SECONDS)
        rows = list((await self._query(fresh_sql.links_not_loaded(blocks, self._cluster, limit=_LINKS))).rows())
        if len(rows) < _LINKS:
            return frozenset(key for row in rows for key in row)
        await self.reload()
        return frozenset()

    async def reload(self) -> None:
        """Let the dictionary know of all links and merges."""
        await identity.reload_identity(self._clickhouse, cluster=self._cluster)

    async def keys(self, blocks: Sequence[Blocks]) -> AsyncIterator[dict[UUID, list[int]]]:
        """Yield the keys that new rows concern, by workspace, some thousands at a time, each when `events_by_actor` has
        the rows of those."""
        after, more = -1, True
        while more:
            statement = fresh_sql.keys(blocks, self._cluster, after=max(after, 0), limit=PAGE)
            rows = list((await self._query(statement)).rows())
            by_workspace: dict[UUID, list[int]] = {}
            for key, workspace, *_ in rows:
                by_workspace.setdefault(workspace, []).append(key)
            more = len(rows) == PAGE
            if rows:
                last = rows[-1][0]
                seen = min(row[2] for row in rows), max(row[3] for row in rows)
                await second.complete(self._clickhouse, fresh_sql.rows(blocks, self._cluster, (after + 1, last), seen))
                after = last
            yield by_workspace

    async def blocked(self) -> frozenset[tuple[UUID, int]]:
        """Return all blocked ids: workspace and key."""
        rows = (await self._query(fresh_sql.blocked())).rows()
        return frozenset((workspace, key) for workspace, key in rows)

    async def linked(self, keys: Sequence[int]) -> list[int]:
        """Return the keys of ids that links or merges join with some."""
        return [key for (key,) in (await self._query(fresh_sql.linked(keys))).rows()]

    async def _query(self, statement: str) -> Result:
        return await self._clickhouse.query(statement, settings=_SETTINGS, query_id=uuid.uuid4().hex, timeout=SECONDS)


async def load(connection: asyncpg.Connection) -> dict[Place, Read] | None:
    """Return what has been read, None if nothing ever was."""
    rows = await connection.fetch(_LOAD)
    if not rows:
        return None
    read = {Place(*row[:3]): Read(row["block"]) for row in rows}
    read.pop(_NOWHERE, None)
    return read


async def save(connection: asyncpg.Connection, read: Mapping[Place, Read]) -> None:
    """Keep what has been read. To be called in a transaction."""
    kept = {_NOWHERE: 0} | {place: each.contiguous for place, each in read.items()}
    columns = list(zip(*kept, strict=True))
    await connection.execute(_FORGET)
    await connection.execute(_SAVE, *map(list, columns), list(kept.values()))
