"""Saved queries in PostgreSQL. Each change is one statement, so that of two at the same time one sees the other's."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import msgspec

from contracts.base import encode
from contracts.errors import NotFound, PreconditionFailed
from contracts.queries import (
    QueriesList,
    QueryCreate,
    QuerySummary,
    QueryVersion,
    QueryVersionSummary,
    SavedQuery,
)
from services.kit.paging import Place
from services.kit.postgres import Postgres
from services.query.saved.texts import fold, haystack, sort_key

Known: TypeAlias = tuple[int, ...] | Literal["*"]
"""The versions a writer knows of."""

TRASH: Final = "interval '30 days'"
"""How long a deleted query can be had back."""
_LABEL: Final = "name, description, tags, kind"
_SUMMARY: Final = f"id, version, {_LABEL}, created_at, created_by, updated_at, updated_by, deleted_at"
_MINE: Final = "workspace_id = $1 AND id = $2"
_KNOWN: Final = "($3::bigint[] IS NULL OR version = ANY($3))"
_RECORDED: Final = f"""
recorded AS (
    INSERT INTO query.saved_query_versions (query_id, version, {_LABEL}, definition, created_at, created_by)
    SELECT id, version, {_LABEL}, definition, updated_at, updated_by FROM saved
)
SELECT {_SUMMARY}, definition FROM saved
"""
_CREATE: Final = f"""
WITH saved AS (
    INSERT INTO query.saved_queries (
        id, workspace_id, version, {_LABEL}, definition, folded_name, haystack,
        created_at, created_by, updated_at, updated_by
    ) VALUES ($2, $1, 1, $3, $4, $5, $6, $7, $8, $9, now(), $10, now(), $10)
    RETURNING *
), {_RECORDED}"""
_REPLACE: Final = f"""
WITH saved AS (
    UPDATE query.saved_queries SET
        version = version + 1, name = $4, description = $5, tags = $6, kind = $7, definition = $8,
        folded_name = $9, haystack = $10, updated_at = now(), updated_by = $11
    WHERE {_MINE} AND deleted_at IS NULL AND {_KNOWN}
    RETURNING *
), {_RECORDED}"""
_DELETE: Final = f"""
UPDATE query.saved_queries SET deleted_at = now() WHERE {_MINE} AND deleted_at IS NULL AND {_KNOWN}
RETURNING {_SUMMARY}, definition
"""
_RESTORE: Final = f"""
UPDATE query.saved_queries SET deleted_at = NULL
WHERE {_MINE} AND (deleted_at IS NULL OR deleted_at > now() - {TRASH})
RETURNING {_SUMMARY}, definition
"""
_GET: Final = f"SELECT {_SUMMARY}, definition FROM query.saved_queries WHERE {_MINE} AND deleted_at IS NULL"
_LIST: Final = f"""
SELECT {_SUMMARY} FROM query.saved_queries
WHERE workspace_id = $1 AND {{state}}
    AND ($2 = '' OR strpos(haystack, $2) > 0)
    AND ($3::text IS NULL OR kind = $3)
    AND ($4::text IS NULL OR $4 = ANY(tags))
    AND {{behind}}
ORDER BY {{order}} LIMIT $5
"""
_OF_MINE: Final = """
FROM query.saved_query_versions AS version JOIN query.saved_queries AS query ON query.id = version.query_id
WHERE query.workspace_id = $1 AND query.id = $2 AND query.deleted_at IS NULL
"""
_VERSION: Final = ", ".join(
    f"version.{column}"
    for column in ("version", "name", "description", "tags", "kind", "definition", "created_at", "created_by")
)
_VERSIONS: Final = f"""
SELECT {_VERSION} {_OF_MINE} AND version.version < coalesce($3::bigint, 2147483648)
ORDER BY version.version DESC LIMIT $4
"""
_PURGE: Final = f"DELETE FROM query.saved_queries WHERE deleted_at <= now() - {TRASH}"


async def create(postgres: Postgres, workspace: UUID, content: QueryCreate, author: str) -> SavedQuery:
    """Keep a new query, of which any number may have the same name."""
    row = await postgres.fetchrow(_CREATE, workspace, uuid4(), *_content(content), author)
    assert row is not None, "INSERT … RETURNING has a row"
    return _saved(row)


async def get(postgres: Postgres, workspace: UUID, id: UUID) -> SavedQuery:
    """Return a query.

    Raises:
        NotFound: there is none in this workspace, or it was deleted.
    """
    return _saved(_found(await postgres.fetchrow(_GET, workspace, id)))


async def find(
    postgres: Postgres, workspace: UUID, request: QueriesList, after: Place | None
) -> tuple[QuerySummary, ...]:
    """Return the queries of a page, and one more if there is."""
    by_name = request.sort == "name"
    statement = _LIST.format(
        state=f"deleted_at > now() - {TRASH}" if request.deleted else "deleted_at IS NULL",
        behind="true"
        if after is None
        else "(folded_name, id) > ($6, $7)"
        if by_name
        else "(updated_at, id) < ($6, $7)",
        order="folded_name, id" if by_name else "updated_at DESC, id DESC",
    )
    values = (workspace, fold(request.search), request.kind, request.tag, request.limit + 1)
    async with postgres.connection() as connection:
        rows = await connection.fetch(statement, *values, *(after or ()))
    return tuple(QuerySummary(**_members(row)) for row in rows)


async def replace(
    postgres: Postgres, workspace: UUID, id: UUID, known: Known, content: QueryCreate, author: str
) -> SavedQuery:
    """Make a new version of a query.

    Raises:
        NotFound: as `get`.
        PreconditionFailed: its newest version is not among those `known`.
    """
    row = await postgres.fetchrow(_REPLACE, workspace, id, _versions(known), *_content(content), author)
    return _saved(row if row is not None else await _refusal(postgres, workspace, id))


async def delete(postgres: Postgres, workspace: UUID, id: UUID, known: Known) -> SavedQuery:
    """Delete a query, for now.

    Raises:
        As `replace`.
    """
    row = await postgres.fetchrow(_DELETE, workspace, id, _versions(known))
    return _saved(row if row is not None else await _refusal(postgres, workspace, id))


async def restore(postgres: Postgres, workspace: UUID, id: UUID) -> SavedQuery:
    """Have a deleted query back; one that is not deleted stays as it is.

    Raises:
        NotFound: there is none in this workspace, or it was deleted too long ago.
    """
    return _saved(_found(await postgres.fetchrow(_RESTORE, workspace, id)))


async def versions(
    postgres: Postgres, workspace: UUID, id: UUID, *, before: int | None, limit: int
) -> tuple[QueryVersionSummary, ...]:
    """Return versions of a query, newest first, those below `before`.

    Raises:
        NotFound: as `get`.
    """
    async with postgres.connection() as connection:
        rows = await connection.fetch(_VERSIONS, workspace, id, before, limit)
    if not rows:
        await get(postgres, workspace, id)
    return tuple(QueryVersionSummary(**_members(row, without="definition")) for row in rows)


async def version(postgres: Postgres, workspace: UUID, id: UUID, number: int) -> QueryVersion:
    """Return one version of a query.

    Raises:
        NotFound: as `get`, or the query has no such version.
    """
    row = await postgres.fetchrow(f"SELECT {_VERSION} {_OF_MINE} AND version.version = $3", workspace, id, number)
    return QueryVersion(**_members(_found(row)))


async def purge(postgres: Postgres) -> None:
    """Forget queries deleted too long ago. Any number of processes may do so at once."""
    await postgres.execute(_PURGE)


async def _refusal(postgres: Postgres, workspace: UUID, id: UUID) -> asyncpg.Record:
    row = _found(await postgres.fetchrow(_GET, workspace, id))
    raise PreconditionFailed(f"the newest version is {row['version']}: look at it and decide again")


def _found(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("there is no such query")
    return row


def _versions(known: Known) -> list[int] | None:
    return None if known == "*" else list(known)


def _content(content: QueryCreate) -> tuple[Any, ...]:
    return (
        content.name,
        content.description,
        list(content.tags),
        content.kind,
        encode(content.definition).decode(),
        sort_key(content.name),
        haystack(content.name, content.description, *content.tags),
    )


def _saved(row: asyncpg.Record) -> SavedQuery:
    return SavedQuery(**_members(row))


def _members(row: asyncpg.Record, *, without: str = "") -> dict[str, Any]:
    members = {name: value for name, value in row.items() if name != without}
    members["tags"] = tuple(members["tags"])
    if "definition" in members:
        members["definition"] = msgspec.json.decode(members["definition"])
    return members
