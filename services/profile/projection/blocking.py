"""Ids that workspaces begin or cease to block: whose events are those with them changes with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

import asyncpg

from services.profile.ids import signed, unsigned
from services.profile.projection.project import project
from services.profile.projection.reading import Reader
from services.profile.resources import Resources

Blocked = frozenset[tuple[UUID, int]]
"""Workspaces and keys."""
_LOAD: Final = "SELECT workspace_id, actor_key FROM profile.blocked"
_ADD: Final = """
INSERT INTO profile.blocked SELECT * FROM unnest($1::uuid[], $2::bigint[]) ON CONFLICT DO NOTHING
"""
_REMOVE: Final = """
DELETE FROM profile.blocked b USING unnest($1::uuid[], $2::bigint[]) AS gone (workspace_id, actor_key)
WHERE b.workspace_id = gone.workspace_id AND b.actor_key = gone.actor_key
"""


async def load(connection: asyncpg.Connection) -> Blocked:
    """Return what profiles were last made with."""
    return frozenset((row[0], unsigned(row[1])) for row in await connection.fetch(_LOAD))


async def save(connection: asyncpg.Connection, known: Collection[tuple[UUID, int]], now: Blocked) -> Blocked:
    """Keep what profiles are made with now, and return it."""
    async with connection.transaction():
        await connection.execute(_REMOVE, *_columns(set(known) - now))
        await connection.execute(_ADD, *_columns(now.difference(known)))
    return now


async def follow(resources: Resources, reader: Reader, connection: asyncpg.Connection, known: Blocked) -> Blocked:
    """Project whom ids concern that are blocked or not since the last time; return what is blocked.

    Raises:
        As `project`.
    """
    now = await reader.blocked()
    if now == known:
        return known
    await reader.reload()
    by_workspace: dict[UUID, list[int]] = {}
    for workspace, key in now ^ known:
        by_workspace.setdefault(workspace, []).append(key)
    for workspace, keys in by_workspace.items():
        await project(resources, workspace, {*keys, *await reader.linked(keys)})
    return await save(connection, known, now)


def _columns(rows: Collection[tuple[UUID, int]]) -> tuple[list[UUID], list[int]]:
    return [workspace for workspace, _ in rows], [signed(key) for _, key in rows]
