"""The operations `query.sql` and `query.sql_cancel`."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from contracts.base import encode
from contracts.common import Facts
from contracts.errors import Conflict, LimitExceeded
from contracts.operation import MEDIA_TYPES, Format
from contracts.sql import SqlCancel, SqlCancelled, SqlRequest
from services.kit.clickhouse import RawStream
from services.kit.service import Answer, RequestContext, Stream
from services.kit.statements import PAGE_BYTES
from services.kit.wide import quote_wide_integers
from services.query.resources import Resources
from services.query.sql.checked import Run, checked, meaning, names_of, stream
from services.query.sql.counting import COUNTERS
from services.query.sql.described import statement_of
from services.query.sql.history import Note

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


async def sql(resources: Resources, request: SqlRequest, context: RequestContext) -> Answer | Stream:
    """Answer `query.sql`.

    Raises:
        InvalidRequest: the statement, a parameter, the clock or the time zone; names the construct and its place.
        TooManyRequests: there was no place in the line, or none became free in time.
        Conflict: it was cancelled.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    context.leave()  # these places are apart: whoever waits for one keeps no other request waiting
    query_id = request.query_id or uuid.uuid4()
    note = resources.history.begin(request, context, query_id)
    with resources.history.watching(note):
        async with AsyncExitStack() as held:
            await held.enter_async_context(resources.slots.take(context.workspace, context.deadline, query_id))
            limit = request.limit or (PAGE if context.format == "json" else 0)
            extra = 1 if context.format == "json" else 0
            run = await checked(resources, request, context, query_id, rows=limit + extra)
            statement = await statement_of(resources, run)
            if note.cancelled:
                raise Conflict("the statement was cancelled")
            note.runs = True
            if context.format == "json":
                return await _page(resources, run, statement, limit, note)
            chunks = _streamed(resources, run, statement, context.format, note, held.pop_all())
            return Stream(chunks, content_type=MEDIA_TYPES[context.format])


async def sql_cancel(resources: Resources, request: SqlCancel, context: RequestContext) -> SqlCancelled:
    """Answer `query.sql_cancel`: stop a query of this workspace; one that is over or unknown is no error.

    Raises:
        Unavailable: ClickHouse does not answer.
    """
    await resources.history.cancel(context.workspace, request.query_id)
    resources.slots.withdraw(context.workspace, request.query_id)
    await asyncio.gather(*map(resources.sql.cancel, names_of(context.workspace, request.query_id)))
    return SqlCancelled(query_id=request.query_id)


async def _page(resources: Resources, run: Run, statement: str, limit: int, note: Note) -> Answer:
    """Return up to `limit` rows; they are passed on as the engine writes them."""
    body = bytearray()
    with meaning(run.text, run.settings):
        async with stream(resources, run, statement, _FORMATS["json"]) as opened:
            async for chunk in opened:
                body += chunk
                if len(body) > PAGE_BYTES:
                    raise LimitExceeded(f"the answer is over {PAGE_BYTES >> 20} MiB: ask for less, or for a stream")
            read = opened.rows_read, opened.bytes_read
    lines = bytes(body).removesuffix(b"\n").split(b"\n")
    names, types, rows = lines[0], lines[1] if len(lines) > 1 else b"[]", lines[2:]
    columns = _columns(names, types)
    shown = [quote_wide_integers(row) if _WIDE.search(row) else row for row in rows[:limit]]
    facts = Facts(rows_read=read[0], bytes_read=read[1], as_of=run.as_of, query_id=str(run.query_id))
    truncated = b"true" if len(rows) > limit else b"false"
    resources.history.finish(note, rows_read=read[0], bytes_read=read[1], rows_returned=len(shown))
    return Answer(
        b'{"columns":%b,"data":[%b],"truncated":%b,"meta":%b}' % (columns, b",".join(shown), truncated, encode(facts))
    )


def _columns(names: bytes, types: bytes) -> bytes:
    pairs = zip(json.loads(names), json.loads(types), strict=True)
    return encode([{"name": name, "type": type_} for name, type_ in pairs])


async def _streamed(
    resources: Resources, run: Run, statement: str, format_: Format, note: Note, held: AsyncExitStack
) -> AsyncIterator[bytes]:
    """Yield the result; `held` is left at its end."""
    counter = COUNTERS[format_]() if format_ in COUNTERS else None
    with resources.history.watching(note):
        async with held:
            with meaning(run.text, run.settings):
                async with stream(resources, run, statement, _FORMATS[format_]) as opened:
                    async for chunk in _narrowed(opened) if format_ == "ndjson" else opened:
                        if counter is not None:
                            counter.add(chunk)
                        yield chunk
        rows = None if counter is None else counter.rows
        resources.history.finish(note, rows_read=opened.rows_read, bytes_read=opened.bytes_read, rows_returned=rows)


async def _narrowed(opened: RawStream) -> AsyncIterator[bytes]:
    """Yield whole lines, integers beyond 2^53 as strings."""
    left = b""
    async for chunk in opened:
        whole, newline, left = (left + chunk).rpartition(b"\n")
        lines = whole + newline
        if lines:
            yield quote_wide_integers(lines) if _WIDE.search(lines) else lines
    if left:
        yield quote_wide_integers(left)
