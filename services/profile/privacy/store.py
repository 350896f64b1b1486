"""Deletions in PostgreSQL: the record, which names nobody, and whose ids stay suppressed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, get_args
from uuid import UUID, uuid4

import asyncpg
import msgspec

from contracts.common import Actor
from contracts.errors import NotFound
from contracts.privacy import Deletion, Store
from services.kit.paging import Place
from services.kit.postgres import Postgres
from services.profile.ids import signed, unsigned

STORES: Final[tuple[Store, ...]] = get_args(Store)
_SHOWN: Final = """
id, cardinality(actor_keys) AS ids, done, requested_at, requested_by, completed_at FROM profile.deletions
"""
_RECORD: Final = """
INSERT INTO profile.deletions (id, workspace_id, actor_keys, profiles, actors, requested_by, done)
VALUES ($1, $2, $3, $4, $5, $6, '{postgres}')
"""
_SUPPRESS: Final = """
INSERT INTO profile.suppressions (workspace_id, actor_key, deletion_id)
SELECT $1, unnest($2::bigint[]), $3 ON CONFLICT DO NOTHING
"""
_PERSONS: Final = (
    "DELETE FROM profiles WHERE workspace_id = $1 AND id = ANY ($2::uuid[])",
    "DELETE FROM profile.trait_origins WHERE workspace_id = $1 AND profile_id = ANY ($2::uuid[])",
    "DELETE FROM profile.outbox WHERE workspace_id = $1 AND profile_id = ANY ($2::uuid[])",
)
_KEYED: Final = (
    "DELETE FROM profile.identities WHERE workspace_id = $1 AND actor_key = ANY ($2::bigint[])",
    "DELETE FROM profile.merges WHERE workspace_id = $1 AND (loser_key = ANY ($2::bigint[]) "
    "OR winner_key = ANY ($2::bigint[]))",
)
_OPEN: Final = """
SELECT id, workspace_id, actor_keys, profiles, actors, done FROM profile.deletions
WHERE completed_at IS NULL ORDER BY requested_at LIMIT 100
"""
_DONE: Final = """
UPDATE profile.deletions SET
    done = array_append(array_remove(done, $2), $2),
    completed_at = CASE WHEN $3::text[] <@ array_append(done, $2) THEN now() END,
    actors = CASE WHEN $3::text[] <@ array_append(done, $2) THEN NULL ELSE actors END
WHERE id = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A deletion that some store has still to carry out."""

    id: UUID
    workspace: UUID
    keys: frozenset[int]
    profiles: tuple[UUID, ...]
    actors: tuple[Actor, ...]
    done: frozenset[str]


async def record(
    connection: asyncpg.Connection,
    workspace: UUID,
    keys: Collection[int],
    profiles: Collection[UUID],
    actors: Sequence[Actor],
    principal: str,
) -> UUID:
    """Suppress ids, remove what PostgreSQL holds of them, and leave the rest to do; return the deletion's id.

    To be called in a transaction that holds the workspace's lock. `keys`: as PostgreSQL holds them.
    """
    id_, listed, persons = uuid4(), sorted(keys), sorted(profiles)
    await connection.execute(_RECORD, id_, workspace, listed, persons, _named(actors), principal)
    await connection.execute(_SUPPRESS, workspace, listed, id_)
    for statement in _PERSONS:
        await connection.execute(statement, workspace, persons)
    for statement in _KEYED:
        await connection.execute(statement, workspace, listed)
    return id_


async def suppressed(postgres: Postgres, workspace: UUID, keys: Collection[int]) -> frozenset[int]:
    """Return those of some keys (0 … 2^64 - 1) that are suppressed."""
    statement = "SELECT actor_key FROM profile.suppressions WHERE workspace_id = $1 AND actor_key = ANY ($2::bigint[])"
    async with postgres.connection() as connection:
        rows = await connection.fetch(statement, workspace, [signed(key) for key in keys])
    return frozenset(unsigned(row["actor_key"]) for row in rows)


async def open_tasks(postgres: Postgres) -> list[Task]:
    """Return deletions that are not done, the oldest first."""
    async with postgres.connection() as connection:
        rows = await connection.fetch(_OPEN)
    return [
        Task(
            id=row["id"],
            workspace=row["workspace_id"],
            keys=frozenset(map(unsigned, row["actor_keys"])),
            profiles=tuple(row["profiles"]),
            actors=tuple(Actor(kind=kind, id=id_) for kind, id_ in msgspec.json.decode(row["actors"] or "[]")),
            done=frozenset(row["done"]),
        )
        for row in rows
    ]


async def name(postgres: Postgres, id: UUID, actors: Sequence[Actor]) -> None:
    """Keep the ids of a deletion until every store is done."""
    await postgres.execute("UPDATE profile.deletions SET actors = $2 WHERE id = $1", id, _named(actors))


async def done(postgres: Postgres, id: UUID, store: Store) -> None:
    """Note that a store has carried out a deletion; with the last of them the ids are forgotten here too."""
    await postgres.execute(_DONE, id, store, list(STORES))


async def get(postgres: Postgres, workspace: UUID, id: UUID) -> Deletion:
    """Return the record of a deletion.

    Raises:
        NotFound: there is none in this workspace.
    """
    row = await postgres.fetchrow(f"SELECT {_SHOWN} WHERE workspace_id = $1 AND id = $2", workspace, id)
    if row is None:
        raise NotFound("there is no such deletion")
    return _shown(row)


async def find(postgres: Postgres, workspace: UUID, *, after: Place | None, limit: int) -> list[Deletion]:
    """Return deletions behind a place, the newest first."""
    behind = "" if after is None else "AND (requested_at, id) < ($3, $4)"
    statement = f"SELECT {_SHOWN} WHERE workspace_id = $1 {behind} ORDER BY requested_at DESC, id DESC LIMIT $2"
    async with postgres.connection() as connection:
        rows = await connection.fetch(statement, workspace, limit, *(after or ()))
    return [_shown(row) for row in rows]


def _named(actors: Sequence[Actor]) -> str:
    return msgspec.json.encode([(actor.kind, actor.id) for actor in actors]).decode()


def _shown(row: asyncpg.Record) -> Deletion:
    return Deletion(
        id=row["id"],
        state="running" if row["completed_at"] is None else "done",
        ids=row["ids"],
        stores={store: "done" if store in row["done"] else "pending" for store in STORES},
        requested_at=row["requested_at"],
        requested_by=row["requested_by"],
        completed_at=row["completed_at"],
    )
