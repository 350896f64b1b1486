"""Ids that workspaces begin or cease to block: whose events are those with them changes with it."""

from __future__ import annotations

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
_FORGET: Final = "DELETE FROM profile.blocked"
_SAVE: Final = "INSERT INTO profile.blocked SELECT * FROM unnest($1::uuid[], $2::bigint[])"


async def load(connection: asyncpg.Connection) -> Blocked:
    """Return what profiles were last made with."""
    return frozenset((row[0], unsigned(row[1])) for row in await connection.fetch(_LOAD))


async def save(connection: asyncpg.Connection, blocked: Blocked) -> None:
    """Keep what profiles are made with now. To be called in a transaction."""
    workspaces, keys = [workspace for workspace, _ in blocked], [signed(key) for _, key in blocked]
    await connection.execute(_FORGET)
    await connection.execute(_SAVE, workspaces, keys)


async def follow(resources: Resources, reader: Reader, known: Blocked) -> Blocked:
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
    return now
