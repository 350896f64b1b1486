"""The operation `query.events`: a page of rows, or the whole range as a stream."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from contracts.base import encode
from contracts.common import Facts
from contracts.errors import InvalidRequest
from contracts.events import EventsRequest
from contracts.operation import MEDIA_TYPES
from services.kit import cursor
from services.kit.cursor import RowKey
from services.kit.service import Answer, RequestContext, Stream
from services.kit.statements import Query
from services.kit.wide import quote_wide_integers
from services.query.events_sql import Rows, check, columns_of, slices_sql
from services.query.first_rows import first_rows
from services.query.frame import depends_on_clock
from services.query.resources import Resources

PAGE = 100
"""Rows of a page when the request does not say."""
_ARROW = {"parquet": "Parquet", "arrow": "ArrowStream"}


async def events(resources: Resources, request: EventsRequest, context: RequestContext) -> Answer | Stream:
    """Answer `query.events`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    if context.format == "json":
        return await _page(resources, request, context)
    if request.cursor is not None:
        raise InvalidRequest.at("/cursor", "a stream has no pages: leave the cursor out or ask for application/json")
    frame = await resources.settle(request, context)
    check(request, frame)
    rows = Rows(
        request=request,
        frame=frame,
        columns=columns_of(request, frame),
        shape="typed" if context.format in _ARROW else ("csv" if context.format == "csv" else "ndjson"),
    )
    query = resources.query(context, frame)
    totals = _Totals(frame.as_of, query.id)
    if context.format in _ARROW:
        chunks = _binary(rows, query, _ARROW[context.format])
    else:
        chunks = _text(rows, query, totals, header=_csv_header(rows.columns) if rows.shape == "csv" else b"")
    return Stream(chunks, content_type=MEDIA_TYPES[context.format], totals=totals.read)


async def _page(resources: Resources, request: EventsRequest, context: RequestContext) -> Answer:
    if request.order == "unordered":
        raise InvalidRequest.at("/order", "pages have an order: newest or oldest; unordered is for streams")
    before = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    frame = await resources.settle(request, context, page=before)
    check(request, frame)
    rows = Rows(request=request, frame=frame, columns=columns_of(request, frame), shape="page")
    limit = request.limit or PAGE
    query = resources.query(context, frame)
    result = await first_rows(rows, query, limit + 1, after=None if before is None else cursor.row_key(before))
    texts, wides, stamps, ids, tables = result.data if result.data else ([], [], [], [], [])
    last = None
    if len(texts) > limit:
        key = RowKey(stamps[limit - 1], ids[limit - 1].decode(), tables[limit - 1].decode())
        last = cursor.write(context.workspace, request, key, as_of=frame.as_of, timezone=frame.timezone)
    meta = Facts(rows_read=result.rows_read, bytes_read=result.bytes_read, as_of=frame.as_of, query_id=query.id)
    body = b'{"data":[%b],"next_cursor":%b,"meta":%b}' % (
        b",".join(_narrow(texts[:limit], wides[:limit])),
        encode(last),
        encode(meta),
    )
    policy = resources.cache_policy(
        request,
        frame,
        relative=depends_on_clock(request.where),
        resolved=bool(request.actors) or "actor" in rows.columns,
    )
    return Answer(body, cache=policy)


def _narrow(rows: Sequence[bytes], wides: Sequence[int]) -> Sequence[bytes]:
    """Quote integers beyond 2^53 in the rows flagged as maybe having some; the common block is returned as it is."""
    if not any(wides):
        return rows
    return [quote_wide_integers(row) if wide else row for row, wide in zip(rows, wides, strict=True)]


class _Totals:
    """What the end frame of a stream says, counted while it flows."""

    def __init__(self, as_of: datetime, query_id: str) -> None:
        self._as_of, self._query_id = as_of, query_id
        self.rows = self.rows_read = self.bytes_read = 0

    def read(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "meta": {
                "rows_read": self.rows_read,
                "bytes_read": self.bytes_read,
                "as_of": self._as_of,
                "query_id": self._query_id,
            },
        }


async def _text(rows: Rows, query: Query, totals: _Totals, header: bytes) -> AsyncIterator[bytes]:
    """Yield NDJSON or CSV, one chunk a block.

    Streams go month by month, the unit in which rows are stored: each sort is small (it spills to disk beyond its share
    of memory), and the engine holds what reading a few parts needs, not all (30 months at once: 850 MB, not 520).
    """
    if header:
        yield header
    left = rows.request.limit
    for between in await _slices(rows, query):
        async with query.stream(rows.sql(between=between, limit=left)) as stream:
            async for block in stream:
                lines = block[0] if rows.shape == "csv" else _narrow(block[0], block[1])
                if lines:
                    totals.rows += len(lines)
                    yield b"\n".join(lines) + b"\n"
            totals.rows_read += stream.rows_read
            totals.bytes_read += stream.bytes_read
        if rows.request.limit is not None:
            left = rows.request.limit - totals.rows
            if left <= 0:
                return


async def _slices(rows: Rows, query: Query) -> list[tuple[datetime, datetime]]:
    """Return the months that have rows, in the request's order."""
    result = await query.run(slices_sql(rows.request, rows.frame))
    months = sorted({int(month) for month in (result.data[0] if result.data else [])})
    slices = [(_month(number), _month(number + 1)) for number in months]
    return slices[::-1] if rows.request.order == "newest" else slices


def _month(number: int) -> datetime:
    """Return the first instant of a month counted from year 0."""
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


async def _binary(rows: Rows, query: Query, format_: str) -> AsyncIterator[bytes]:
    async with query.raw(rows.sql(limit=rows.request.limit), format_) as chunks:
        async for chunk in chunks:
            yield chunk


def _csv_header(columns: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(columns)
    return text.getvalue().encode()
