"""The history of statements in PostgreSQL: the newest of each workspace, for a while."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.operation import Format
from contracts.sql import SqlHistoryEntry, SqlHistoryList, SqlState
from services.kit.paging import Place
from services.kit.postgres import Postgres
from services.query.saved.texts import fold, haystack

KEPT: Final = 1_000
"""Statements of a workspace that are kept, the newest."""
AGE: Final = "interval '30 days'"
"""How long a statement is kept."""
CHARACTERS: Final = 65_536
"""Of a statement; what is longer is refused, and its beginning kept."""
LOST: Final = "The process that ran it is gone"

_WRITE: Final = """
INSERT INTO query.sql_history (
    id, workspace_id, query_id, statement, haystack, format, principal, started_at, ends_by,
    status, error, seconds, rows_read, bytes_read, rows_returned
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, error = excluded.error, seconds = excluded.seconds, rows_read = excluded.rows_read,
    bytes_read = excluded.bytes_read, rows_returned = excluded.rows_returned
"""
_END: Final = """
UPDATE query.sql_history SET
    status = CASE WHEN cancelled AND $2 = 'failed' THEN 'cancelled' ELSE $2 END,
    error = $3, seconds = $4, rows_read = $5, bytes_read = $6, rows_returned = $7
WHERE id = $1
"""
_CANCEL: Final = """
UPDATE query.sql_history SET cancelled = true WHERE workspace_id = $1 AND query_id = $2 AND status = 'running'
"""
_IS_LOST: Final = "status = 'running' AND ends_by < now()"
_SHOWN: Final = f"""
SELECT id, query_id, statement AS query, format, principal, started_at, seconds, rows_read, bytes_read, rows_returned,
    CASE WHEN {_IS_LOST} THEN 'failed' ELSE status END AS status,
    CASE WHEN {_IS_LOST} THEN '{LOST}' ELSE error END AS error
FROM query.sql_history
"""
_LIST: Final = f"""
SELECT * FROM ({_SHOWN} WHERE workspace_id = $1 AND ($2 = '' OR strpos(haystack, $2) > 0)) AS shown
WHERE ($3::text IS NULL OR status = $3) AND ($5::timestamptz IS NULL OR (started_at, id) < ($5, $6::uuid))
ORDER BY started_at DESC, id DESC LIMIT $4
"""
_NEWEST: Final = f"{_SHOWN} WHERE workspace_id = $1 AND query_id = $2 ORDER BY started_at DESC, id DESC LIMIT 1"
_FORGET: Final = """
DELETE FROM query.sql_history
WHERE workspace_id = $1 AND EXISTS (SELECT FROM unnest($2::text[]) AS wanted WHERE strpos(haystack, wanted) > 0)
"""
_PRUNE: Final = f"""
DELETE FROM query.sql_history WHERE workspace_id = $1 AND (started_at, id) <= (
    SELECT started_at, id FROM query.sql_history WHERE workspace_id = $1
    ORDER BY started_at DESC, id DESC OFFSET {KEPT} LIMIT 1
)
"""
_PURGE_OLD: Final = f"DELETE FROM query.sql_history WHERE started_at < now() - {AGE}"
_PURGE_LOST: Final = f"UPDATE query.sql_history SET status = 'failed', error = '{LOST}' WHERE {_IS_LOST}"
_CROWDED: Final = f"SELECT workspace_id FROM query.sql_history GROUP BY workspace_id HAVING count(*) > {KEPT}"
_ESCAPED: Final = re.compile(r"\\(.)|''", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A statement as it was sent. `ends_by`: when it is over, whatever becomes of its process."""

    id: UUID
    workspace: UUID
    query_id: UUID
    statement: str
    format: Format
    principal: str
    started_at: datetime
    ends_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a statement. `seconds` is None while it runs; the counts are None where nobody counted."""

    status: SqlState = "running"
    error: str | None = None
    seconds: float | None = None
    rows_read: int | None = None
    bytes_read: int | None = None
    rows_returned: int | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        """The values in the order of the statements."""
        return self.status, self.error, self.seconds, self.rows_read, self.bytes_read, self.rows_returned


async def write(postgres: Postgres, new: Iterable[tuple[Sent, Outcome]], known: Iterable[tuple[UUID, Outcome]]) -> None:
    """Write statements that are not there yet, and what became of others. One that was forgotten meanwhile stays so."""
    rows = [
        (
            *(sent.id, sent.workspace, sent.query_id, shown := storable(sent.statement), searched(shown)),
            *(sent.format, sent.principal, sent.started_at, sent.ends_by, *outcome.values),
        )
        for sent, outcome in new
    ]
    ends = [(id_, *outcome.values) for id_, outcome in known]
    async with postgres.connection() as connection:
        if rows:
            await connection.executemany(_WRITE, rows)
        if ends:
            await connection.executemany(_END, ends)


async def cancel(postgres: Postgres, workspace: UUID, query_id: UUID) -> None:
    """Note that somebody asked for a statement to be stopped."""
    await postgres.execute(_CANCEL, workspace, query_id)


async def find(
    postgres: Postgres, workspace: UUID, request: SqlHistoryList, after: Place | None
) -> list[tuple[Place, SqlHistoryEntry]]:
    """Return the statements of a page, newest first, and one more if there is, each with its place."""
    async with postgres.connection() as connection:
        rows = await connection.fetch(
            _LIST, workspace, fold(request.search), request.status, request.limit + 1, *(after or (None, None))
        )
    return [(Place(row["started_at"], row["id"]), _shown(row)) for row in rows]


async def newest(postgres: Postgres, workspace: UUID, query_id: UUID) -> SqlHistoryEntry | None:
    """Return the last statement sent under an id."""
    row = await postgres.fetchrow(_NEWEST, workspace, query_id)
    return None if row is None else _shown(row)


async def forget(postgres: Postgres, workspace: UUID, texts: Collection[str]) -> int:
    """Erase the statements that hold one of the texts, in upper or lower case, plain or escaped; return how many.

    A text that a statement only computes (`concat('ja', 'ne')`) is not found.

    Raises:
        Unavailable: PostgreSQL does not answer.
    """
    wanted = [folded for text in texts if (folded := fold(storable(text)))]
    async with postgres.connection() as connection:
        status: str = await connection.execute(_FORGET, workspace, wanted)
    return int(status.rpartition(" ")[2])


async def prune(postgres: Postgres, workspace: UUID) -> None:
    """Keep no more of a workspace than may be."""
    await postgres.execute(_PRUNE, workspace)


async def purge(postgres: Postgres) -> None:
    """Forget what is old or too much, and end what was lost. Any number of processes may do so at once."""
    await postgres.execute(_PURGE_OLD)
    await postgres.execute(_PURGE_LOST)
    async with postgres.connection() as connection:
        crowded = [row["workspace_id"] for row in await connection.fetch(_CROWDED)]
    for workspace in crowded:
        await prune(postgres, workspace)


def storable(text: str) -> str:
    """Return a text as PostgreSQL can hold it: of limited length, without NUL and lone surrogates."""
    return text[:CHARACTERS].replace("\0", "\ufffd").encode(errors="replace").decode()


def searched(statement: str) -> str:
    """Return what is searched of a statement: its text, and the same with the escapes of its literals undone."""
    plain = _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]) if found[1] else "'", statement)
    return haystack(statement) if plain == statement else haystack(statement, plain)


def _shown(row: asyncpg.Record) -> SqlHistoryEntry:
    return SqlHistoryEntry(**{name: value for name, value in row.items() if name != "id"})
