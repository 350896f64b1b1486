"""Merges in PostgreSQL: what was asked for, decided one at a time in a workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from contracts.profile_merges import Merge, MergedId
from services.kit.postgres import Postgres
from services.profile.ids import unsigned
from services.profile.merging.graph import Person

DEEPEST: Final = 50
"""Merges on the way from an id to its profile: the dictionary walks them one by one, for all workspaces at once."""

_SPACE: Final = int.from_bytes(b"merg")
_COLUMNS: Final = """
    m.id, m.workspace_id, m.winner_key, m.winner_kind, m.winner_id, m.loser_key, m.loser_kind, m.loser_id,
    m.version, m.merged_at, m.merged_by, m.undone_at, m.undone_by
"""
_VERSION: Final = """
greatest(
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    (SELECT coalesce(max(version), 0) + 1 FROM profile.merges WHERE workspace_id = $1 AND loser_key = {loser})
)
"""
_RECORD: Final = f"""
INSERT INTO profile.merges AS m (
    workspace_id, id, winner_key, winner_kind, winner_id, loser_key, loser_kind, loser_id, merged_by, version
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {_VERSION.format(loser="$6")}) RETURNING {_COLUMNS}
"""
_UNDO: Final = f"""
UPDATE profile.merges AS m
SET undone_at = clock_timestamp(), undone_by = $3, applied = false, version = {_VERSION.format(loser="m.loser_key")}
WHERE m.workspace_id = $1 AND m.id = $2 RETURNING {_COLUMNS}
"""
_GET: Final = f"SELECT {_COLUMNS} FROM profile.merges m WHERE m.workspace_id = $1 AND m.id = $2"
_NEWEST: Final = f"""
SELECT {_COLUMNS} FROM profile.merges m WHERE m.workspace_id = $1 AND m.loser_key = $2
ORDER BY m.undone_at IS NULL DESC, m.version DESC LIMIT 1
"""
_DEPTH: Final = """
WITH RECURSIVE below (key, depth) AS (
    SELECT $2::bigint, 0
    UNION ALL
    SELECT m.loser_key, depth + 1 FROM below
    JOIN profile.merges m ON m.workspace_id = $1 AND m.winner_key = below.key AND m.undone_at IS NULL
    WHERE depth <= $3
)
SELECT max(depth) FROM below
"""
_PENDING: Final = f"""
SELECT {_COLUMNS} FROM profile.merges m WHERE m.workspace_id = ANY ($1::uuid[]) AND NOT m.applied
ORDER BY m.id LIMIT $2 FOR UPDATE
"""
_APPLIED: Final = "UPDATE profile.merges SET applied = true WHERE id = $1 AND version = $2"
_OF_PROFILE: Final = f"""
WITH mine AS (SELECT actor_key FROM profile.identities WHERE workspace_id = $1 AND profile_id = $2)
SELECT {_COLUMNS} FROM profile.merges m
WHERE m.id IN (
    SELECT id FROM mine JOIN profile.merges ON workspace_id = $1 AND loser_key = actor_key
    UNION ALL
    SELECT id FROM mine JOIN profile.merges ON workspace_id = $1 AND winner_key = actor_key
) AND (m.merged_at, m.id) < ($3, $4)
ORDER BY m.merged_at DESC, m.id DESC LIMIT $5
"""


@asynccontextmanager
async def turn(postgres: Postgres, workspace: UUID) -> AsyncIterator[asyncpg.Connection]:
    """Wait for the workspace's turn to decide, which lasts as long as the block, a transaction. Two workspaces may
    share a turn by chance of their hashes, which costs time only."""
    async with postgres.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1, hashtext($2::text))", _SPACE, str(workspace))
        yield connection


async def record(
    connection: asyncpg.Connection, workspace: UUID, winner: Person, loser: Person, author: str
) -> asyncpg.Record:
    """Keep a merge, to be applied, and return its row."""
    row = await connection.fetchrow(_RECORD, workspace, uuid4(), *winner, *loser, author)
    assert row is not None, "INSERT … RETURNING has a row"
    return row


async def undo(connection: asyncpg.Connection, workspace: UUID, id: UUID, author: str) -> asyncpg.Record:
    """Take a merge that is there and in force back, and return its row."""
    row = await connection.fetchrow(_UNDO, workspace, id, author)
    assert row is not None, "the merge was read in the same turn"
    return row


async def get(connection: asyncpg.Connection, workspace: UUID, id: UUID) -> asyncpg.Record | None:
    """Return a merge's row."""
    return await connection.fetchrow(_GET, workspace, id)


async def newest(connection: asyncpg.Connection, workspace: UUID, loser: Person) -> asyncpg.Record | None:
    """Return the row of the merge in force that an id lost, or else of the last one taken back."""
    return await connection.fetchrow(_NEWEST, workspace, loser.key)


async def is_deep(connection: asyncpg.Connection, workspace: UUID, loser: Person) -> bool:
    """Tell whether one more merge would leave an id more than `DEEPEST` merges from its profile."""
    depth: int = await connection.fetchval(_DEPTH, workspace, loser.key, DEEPEST)
    return depth >= DEEPEST


async def of_profile(
    postgres: Postgres, workspace: UUID, profile: UUID, *, before: tuple[datetime, UUID], limit: int
) -> Sequence[asyncpg.Record]:
    """Return the rows of the merges that ids of a profile won or lost, newest first."""
    async with postgres.connection() as connection:
        rows: Sequence[asyncpg.Record] = await connection.fetch(_OF_PROFILE, workspace, profile, *before, limit)
    return rows


async def unapplied(postgres: Postgres) -> list[UUID]:
    """Return the workspaces that have merges to apply."""
    async with postgres.connection() as connection:
        rows = await connection.fetch("SELECT DISTINCT workspace_id FROM profile.merges WHERE NOT applied")
    return [row["workspace_id"] for row in rows]


@asynccontextmanager
async def pending(
    postgres: Postgres, workspaces: Collection[UUID], most: int
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """Lend the rows of merges to apply: while the block runs nobody takes them back, nor removes them."""
    async with postgres.connection() as connection, connection.transaction():
        yield await connection.fetch(_PENDING, list(workspaces), most)


async def applied(postgres: Postgres, rows: Sequence[asyncpg.Record]) -> None:
    """Note that merges were applied as these rows say."""
    async with postgres.connection() as connection:
        await connection.executemany(_APPLIED, [(row["id"], row["version"]) for row in rows])


def loser_of(row: asyncpg.Record) -> Person:
    """Return who was merged."""
    return Person(row["loser_key"], row["loser_kind"], row["loser_id"])


def winner_of(row: asyncpg.Record) -> Person:
    """Return whom it was merged into."""
    return Person(row["winner_key"], row["winner_kind"], row["winner_id"])


def merge_of(row: asyncpg.Record) -> Merge:
    """Return the merge that a row holds."""
    workspace, winner, loser = row["workspace_id"], winner_of(row), loser_of(row)
    return Merge(
        id=row["id"],
        winner=MergedId(profile=winner.profile(workspace), actor=winner.actor),
        loser=MergedId(profile=loser.profile(workspace), actor=loser.actor),
        merged_at=row["merged_at"],
        merged_by=row["merged_by"],
        undone_at=row["undone_at"],
        undone_by=row["undone_by"],
    )


def in_clickhouse(row: asyncpg.Record) -> tuple[Any, ...]:
    """Return the row of `cdp.identity_merges` that says the same."""
    return (
        row["workspace_id"],
        unsigned(row["loser_key"]),
        unsigned(row["winner_key"]),
        row["winner_kind"],
        row["winner_id"],
        int(row["undone_at"] is not None),
        row["version"],
    )
