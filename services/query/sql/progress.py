"""The operation `query.sql_progress`: how far a statement is, whichever process runs it, or how it ended."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.errors import NotFound
from contracts.sql import SqlHistoryEntry, SqlProgress, SqlProgressGet
from services.kit import sql
from services.kit.service import RequestContext
from services.query.resources import Resources
from services.query.sql import history_store
from services.query.sql.checked import mark, name_of

_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Live:
    """What the engine says of a statement that it runs. `rows_to_read` grows while it finds more to read."""

    seconds: float
    rows_read: int
    bytes_read: int
    rows_to_read: int
    memory_bytes: int

    @property
    def percent(self) -> float | None:
        """How much of what is to be read has been, None while that is not known."""
        return round(min(100 * self.rows_read / self.rows_to_read, 100), 1) if self.rows_to_read else None


async def sql_progress(resources: Resources, request: SqlProgressGet, context: RequestContext) -> SqlProgress:
    """Answer `query.sql_progress`.

    Raises:
        NotFound: the workspace has sent no such query, or so long ago that it is forgotten.
        Unavailable: PostgreSQL or ClickHouse does not answer.
    """
    await resources.history.flush()
    entry = await history_store.newest(resources.postgres, context.workspace, request.query_id)
    if entry is not None and entry.status != "running":
        return _ended(entry)
    live = await _live(resources, name_of(context.workspace, request.query_id))
    if entry is None and live is None:
        raise NotFound("there is no such query")
    return _running(request.query_id, entry, live, datetime.now(UTC))


def processes_sql(name: str) -> str:
    """Return SQL of a statement that runs; `name`: its id in the engine.

    Columns: as the fields of `Live`. An embedded engine knows statements by ids of its own, but shows their text.
    """
    return (
        "SELECT elapsed, read_rows, read_bytes, total_rows_approx, memory_usage FROM system.processes "
        f"WHERE query_id = {sql.string(name)} OR startsWith(query, {sql.string(mark(name))}) LIMIT 1"
    )


async def _live(resources: Resources, name: str) -> Live | None:
    result = await resources.clickhouse.query(processes_sql(name), query_id=uuid.uuid4().hex, timeout=_SECONDS)
    for elapsed, rows, bytes_, total, memory in result.rows():
        return Live(elapsed, rows, bytes_, total, max(memory, 0))
    return None


def _running(query_id: uuid.UUID, entry: SqlHistoryEntry | None, live: Live | None, now: datetime) -> SqlProgress:
    started = now if live is None else now - timedelta(seconds=live.seconds)
    started = started if entry is None else entry.started_at
    return SqlProgress(
        query_id=query_id,
        status="running",
        error=None,
        started_at=started,
        seconds=max((now - started).total_seconds(), 0.0),
        rows_read=0 if live is None else live.rows_read,
        bytes_read=0 if live is None else live.bytes_read,
        rows_to_read=None if live is None or not live.rows_to_read else live.rows_to_read,
        percent=None if live is None else live.percent,
        memory_bytes=None if live is None else live.memory_bytes,
    )


def _ended(entry: SqlHistoryEntry) -> SqlProgress:
    return SqlProgress(
        query_id=entry.query_id,
        status=entry.status,
        error=entry.error,
        started_at=entry.started_at,
        seconds=entry.seconds,
        rows_read=entry.rows_read,
        bytes_read=entry.bytes_read,
    )
