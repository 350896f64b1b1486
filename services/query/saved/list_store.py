"""Lists of actors in PostgreSQL. A list is seen once it is whole; what an interrupted process left is removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from contracts.analysis import ListedActor
from contracts.base import decode, encode
from contracts.common import Actor, Facts
from contracts.errors import NotFound
from contracts.lists import ActorList, ListCreate, ListsList, ListSource
from services.kit.paging import Place
from services.kit.postgres import Postgres
from services.query.saved.texts import fold, haystack, sort_key

_COPY_SECONDS: Final = 30.0
_REMOVED_AT_ONCE: Final = 50_000
"""Rows a statement deletes: more would take longer than a statement may."""
_SHOWN: Final = "id, name, description, source, size, facts, created_at, created_by"
_MINE: Final = "workspace_id = $1 AND id = $2 AND state = 'ready'"
_BEGIN: Final = """
INSERT INTO query.lists (workspace_id, id, state, name, description, source, folded_name, haystack, created_by)
VALUES ($1, $2, 'building', $3, $4, $5, $6, $7, $8)
"""
_FINISH: Final = f"""
UPDATE query.lists SET state = 'ready', size = $2, facts = $3 WHERE id = $1 AND state = 'building' RETURNING {_SHOWN}
"""
_LIST: Final = f"""
SELECT {_SHOWN} FROM query.lists
WHERE workspace_id = $1 AND state = 'ready' AND ($2 = '' OR strpos(haystack, $2) > 0) AND {{behind}}
ORDER BY {{order}} LIMIT $3
"""
_ACTORS: Final = """
SELECT kind, id FROM query.list_actors WHERE list_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""
_DELETE: Final = f"UPDATE query.lists SET state = 'deleted' WHERE {_MINE} RETURNING {_SHOWN}"
_REMOVE_ROWS: Final = """
DELETE FROM query.list_actors
WHERE list_id = $1 AND position < (SELECT min(position) FROM query.list_actors WHERE list_id = $1) + $2::integer
"""
_LEFT: Final = """
SELECT id FROM query.lists WHERE state = 'deleted' OR (state = 'building' AND created_at < now() - interval '1 day')
"""

_FORGET: Final = """
WITH forgotten AS (
    DELETE FROM query.list_actors a USING query.lists l
    WHERE l.workspace_id = $1 AND a.list_id = l.id AND (a.kind, a.id) IN (SELECT * FROM unnest($2::text[], $3::bytea[]))
    RETURNING a.list_id
), counted AS (SELECT list_id, count(*)::integer AS entries FROM forgotten GROUP BY list_id),
shrunk AS (UPDATE query.lists l SET size = greatest(size - entries, 0) FROM counted WHERE l.id = counted.list_id)
SELECT coalesce(sum(entries), 0)::integer AS entries FROM counted
"""
_FORGET_SECONDS: Final = 60.0
"""Entries have no index by actor: a million of them are read."""


async def begin(postgres: Postgres, workspace: UUID, request: ListCreate, author: str) -> UUID:
    """Begin a list that nobody sees yet, and return its id."""
    id_ = uuid4()
    await postgres.execute(
        _BEGIN,
        *(workspace, id_, request.name, request.description, encode(request.source).decode()),
        *(sort_key(request.name), haystack(request.name, request.description), author),
    )
    return id_


async def add(postgres: Postgres, id: UUID, first: int, listed: Iterable[ListedActor]) -> None:
    """Add actors to a list that was begun, from position `first` on."""
    records = [
        (id, position, each.actor.kind, each.actor.id.encode())
        for position, each in enumerate(listed, first)
        if each.actor is not None
    ]
    async with postgres.connection() as connection:
        await connection.copy_records_to_table(
            "list_actors",
            schema_name="query",
            columns=("list_id", "position", "kind", "id"),
            records=records,
            timeout=_COPY_SECONDS,
        )


async def finish(postgres: Postgres, id: UUID, size: int, facts: Facts) -> ActorList:
    """Let a list be seen: it is whole.

    Raises:
        NotFound: it was removed meanwhile.
    """
    return _shown(await postgres.fetchrow(_FINISH, id, size, encode(facts).decode()))


async def get(postgres: Postgres, workspace: UUID, id: UUID) -> ActorList:
    """Return a list.

    Raises:
        NotFound: there is none in this workspace.
    """
    return _shown(await postgres.fetchrow(f"SELECT {_SHOWN} FROM query.lists WHERE {_MINE}", workspace, id))


async def find(postgres: Postgres, workspace: UUID, request: ListsList, after: Place | None) -> tuple[ActorList, ...]:
    """Return the lists of a page, and one more if there is."""
    by_name = request.sort == "name"
    statement = _LIST.format(
        behind="true"
        if after is None
        else "(folded_name, id) > ($4, $5)"
        if by_name
        else "(created_at, id) < ($4, $5)",
        order="folded_name, id" if by_name else "created_at DESC, id DESC",
    )
    async with postgres.connection() as connection:
        rows = await connection.fetch(statement, workspace, fold(request.search), request.limit + 1, *(after or ()))
    return tuple(map(_shown, rows))


async def actors(postgres: Postgres, id: UUID, *, after: int, limit: int) -> tuple[ListedActor, ...]:
    """Return the actors of a list behind a position, in order."""
    async with postgres.connection() as connection:
        rows = await connection.fetch(_ACTORS, id, after, limit)
    return tuple(ListedActor(actor=Actor(kind=kind, id=id_.decode())) for kind, id_ in rows)


async def delete(postgres: Postgres, workspace: UUID, id: UUID) -> ActorList:
    """Let a list be seen no more.

    Raises:
        NotFound: as `get`.
    """
    return _shown(await postgres.fetchrow(_DELETE, workspace, id))


async def forget(postgres: Postgres, workspace: UUID, actors: Iterable[Actor]) -> int:
    """Take actors out of every list of a workspace; return how many entries there were."""
    named = [(actor.kind, actor.id.encode()) for actor in actors]
    kinds, ids = [kind for kind, _ in named], [id_ for _, id_ in named]
    async with postgres.connection() as connection:
        entries: int = await connection.fetchval(_FORGET, workspace, kinds, ids, timeout=_FORGET_SECONDS)
    return entries


async def remove(postgres: Postgres, id: UUID) -> None:
    """Remove what is kept of a list, seen or not. May be broken off and done again, by several at once."""
    while not (await _removed(postgres, id)).endswith(" 0"):
        pass
    await postgres.execute("DELETE FROM query.lists WHERE id = $1", id)


async def purge(postgres: Postgres) -> None:
    """Remove lists that were deleted, and those a process began and did not live to finish."""
    async with postgres.connection() as connection:
        left = [row["id"] for row in await connection.fetch(_LEFT)]
    for id_ in left:
        await remove(postgres, id_)


async def _removed(postgres: Postgres, id: UUID) -> str:
    async with postgres.connection() as connection:
        status: str = await connection.execute(_REMOVE_ROWS, id, _REMOVED_AT_ONCE)
    return status


def _shown(row: asyncpg.Record | None) -> ActorList:
    if row is None:
        raise NotFound("there is no such list")
    members: dict[str, Any] = dict(row)
    source, facts = members.pop("source"), members.pop("facts")
    return ActorList(**members, source=decode(source.encode(), ListSource), meta=decode(facts.encode(), Facts))
