"""The operations `query.sql` and `query.sql_cancel`."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from contracts.base import encode
from contracts.common import Facts
from contracts.errors import LimitExceeded
from contracts.operation import MEDIA_TYPES, Format
from contracts.sql import SqlCancel, SqlCancelled, SqlRequest
from services.kit import cost, timerange
from services.kit.clickhouse import ClickHouseError, RawStream
from services.kit.identity import Blocked
from services.kit.service import Answer, RequestContext, Stream
from services.kit.statements import PAGE_BYTES, limits
from services.kit.wide import quote_wide_integers
from services.query import workspaces
from services.query.resources import Resources
from services.query.sql.engine import settings_of
from services.query.sql.engine_check import check_ast, check_tree
from services.query.sql.explained import explained
from services.query.sql.prepare import prepare
from services.query.sql.slots import share

PAGE: Final = 1_000
"""Rows of a JSON answer when the request does not say."""
_FORMATS: Final[dict[Format, str]] = {
    "json": "JSONCompactEachRowWithNamesAndTypes",
    "ndjson": "JSONEachRow",
    "csv": "CSVWithNames",
    "parquet": "Parquet",
    "arrow": "ArrowStream",
}
_WIDE: Final = re.compile(rb"[0-9]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One statement that has passed the checks, and what it runs with."""

    workspace: UUID
    text: str
    statement: str
    settings: dict[str, Any]
    query_id: str
    deadline: float
    as_of: datetime

    @property
    def timeout(self) -> float:
        """Seconds left."""
        return max(self.deadline - asyncio.get_running_loop().time(), 0.001)


def name_of(workspace: UUID, query_id: UUID) -> str:
    """Return a query's id in the engine: nobody can name another workspace's."""
    return f"sql-{workspace.hex}-{query_id.hex}"


async def sql(resources: Resources, request: SqlRequest, context: RequestContext) -> Answer | Stream:
    """Answer `query.sql`.

    Raises:
        InvalidRequest: the statement, a parameter or the time zone; names the construct and its place.
        TooManyRequests: there was no place in the line, or none became free in time.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    context.leave()  # these places are apart: whoever waits for one keeps no other request waiting
    async with AsyncExitStack() as held:
        await held.enter_async_context(resources.slots.take(context.workspace, context.deadline))
        run = await _checked(resources, request, context)
        if context.format == "json":
            return await _page(resources, run, request.limit or PAGE)
        return Stream(_streamed(resources, run, context, held.pop_all()), content_type=MEDIA_TYPES[context.format])


async def sql_cancel(resources: Resources, request: SqlCancel, context: RequestContext) -> SqlCancelled:
    """Answer `query.sql_cancel`: stop a query of this workspace; one that is over or unknown is no error.

    Raises:
        Unavailable: ClickHouse does not answer.
    """
    await resources.sql.cancel(name_of(context.workspace, request.query_id))
    return SqlCancelled(query_id=request.query_id)


async def _checked(resources: Resources, request: SqlRequest, context: RequestContext) -> Run:
    await resources.schema.passed()
    await resources.sql.passed()
    workspace = await workspaces.get(resources.postgres, context.workspace)
    timezone = request.timezone or workspace.timezone
    timerange.check_timezone(timezone, pointer="/timezone")
    blocked = Blocked(context.workspace, workspace.blocked_ids) if workspace.blocked_ids else None
    written = await asyncio.to_thread(prepare, request.query, context.workspace, blocked, request.parameters)
    now = asyncio.get_running_loop().time()
    seconds = context.deadline - now
    if workspace.limits.max_seconds is not None:
        seconds = min(seconds, workspace.limits.max_seconds)
    rows = request.limit or (PAGE if context.format == "json" else 0)
    extra = 1 if context.format == "json" else 0
    bounds = limits(resources.settings, workspace.limits) | share(resources.settings)
    settings = settings_of(bounds, context.workspace, timezone, seconds, rows + extra)
    query_id = name_of(context.workspace, request.query_id or uuid.uuid4())
    run = Run(
        workspace=context.workspace,
        text=request.query,
        statement=f"EXPLAIN {written.sql}" if written.explained else written.sql,
        settings=settings,
        query_id=query_id,
        deadline=now + seconds,
        as_of=datetime.now(UTC),
    )
    with _explained(run):
        for what, check in (("AST", check_ast), ("QUERY TREE", check_tree)):
            lines = await resources.sql.explain(
                what,
                written.sql,
                workspace=context.workspace,
                settings=settings,
                query_id=f"{query_id}-{what[0]}",
                timeout=run.timeout,
            )
            check(lines, written)
    return run


@contextmanager
def _explained(run: Run) -> Iterator[None]:
    """Say what an error of the engine means for the statement's author."""
    try:
        with cost.explained(run.settings):
            yield
    except ClickHouseError as error:
        raise explained(error, run.text) from error


async def _page(resources: Resources, run: Run, limit: int) -> Answer:
    """Return up to `limit` rows; they are passed on as the engine writes them."""
    body = bytearray()
    with _explained(run):
        async with resources.sql.stream(
            run.statement,
            _FORMATS["json"],
            workspace=run.workspace,
            settings=run.settings,
            query_id=run.query_id,
            timeout=run.timeout,
        ) as stream:
            async for chunk in stream:
                body += chunk
                if len(body) > PAGE_BYTES:
                    raise LimitExceeded(f"the answer is over {PAGE_BYTES >> 20} MiB: ask for less, or for a stream")
            read = stream.rows_read, stream.bytes_read
    lines = bytes(body).removesuffix(b"\n").split(b"\n")
    names, types, rows = lines[0], lines[1] if len(lines) > 1 else b"[]", lines[2:]
    columns = _columns(names, types)
    shown = [quote_wide_integers(row) if _WIDE.search(row) else row for row in rows[:limit]]
    facts = Facts(rows_read=read[0], bytes_read=read[1], as_of=run.as_of, query_id=run.query_id)
    truncated = b"true" if len(rows) > limit else b"false"
    return Answer(
        b'{"columns":%b,"data":[%b],"truncated":%b,"meta":%b}' % (columns, b",".join(shown), truncated, encode(facts))
    )


def _columns(names: bytes, types: bytes) -> bytes:
    pairs = zip(json.loads(names), json.loads(types), strict=True)
    return encode([{"name": name, "type": type_} for name, type_ in pairs])


async def _streamed(
    resources: Resources, run: Run, context: RequestContext, held: AsyncExitStack
) -> AsyncIterator[bytes]:
    """Yield the result; `held` is left at its end."""
    format_ = _FORMATS[context.format]
    opened = resources.sql.stream(
        run.statement,
        format_,
        workspace=run.workspace,
        settings=run.settings,
        query_id=run.query_id,
        timeout=run.timeout,
    )
    async with held:
        with _explained(run):
            async with opened as stream:
                async for chunk in _narrowed(stream) if context.format == "ndjson" else stream:
                    yield chunk


async def _narrowed(stream: RawStream) -> AsyncIterator[bytes]:
    """Yield whole lines, integers beyond 2^53 as strings."""
    left = b""
    async for chunk in stream:
        whole, newline, left = (left + chunk).rpartition(b"\n")
        lines = whole + newline
        if lines:
            yield quote_wide_integers(lines) if _WIDE.search(lines) else lines
    if left:
        yield quote_wide_integers(left)
