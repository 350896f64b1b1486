"""The operation `query.catalog`: names, fields and values, for predicate builders."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TypeVar

from contracts.base import encode
from contracts.common import Facts
from contracts.events import (
    CatalogFields,
    CatalogFieldsResult,
    CatalogNames,
    CatalogNamesResult,
    CatalogRequest,
    CatalogResult,
    CatalogValues,
    CatalogValuesResult,
    EventsRequest,
    NameEntry,
    ValueEntry,
)
from services.kit.clickhouse import Result
from services.kit.event_rows import check_names
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query import fields
from services.query.catalog_sql import names_sql, values_sql
from services.query.events_sql import Rows, columns_of
from services.query.first_rows import first_rows
from services.query.frame import Frame
from services.query.resources import Resources

SAMPLE = 5_000
"""Events looked at, the newest of the range, to tell which fields there are."""

T = TypeVar("T")


async def catalog(resources: Resources, request: CatalogRequest, context: RequestContext) -> Answer:
    """Answer `query.catalog`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    frame = await resources.settle(request, context)
    if not isinstance(request, CatalogNames):
        check_names(request.names, frame.tables)
    query = resources.query(context, frame)
    result: CatalogResult
    if isinstance(request, CatalogNames):
        result = await _names(request, frame, query)
    elif isinstance(request, CatalogFields):
        result = await _fields(request, frame, query)
    else:
        result = await _values(request, frame, query)
    return Answer(encode(result), cache=resources.cache_policy(request, frame))


async def _names(request: CatalogNames, frame: Frame, query: Query) -> CatalogNamesResult:
    result = await query.run(names_sql(request, frame))
    entries = tuple(
        NameEntry(
            table=table.decode(),
            name=None if name is None else name.decode(errors="replace"),
            count=count,
            last_seen=datetime.fromtimestamp(last / 1000, UTC),
        )
        for table, name, count, last in result.rows()
    )
    shown, more = _cut(entries, request.limit)
    return CatalogNamesResult(data=shown, truncated=more, meta=_facts(result, frame, query))


async def _fields(request: CatalogFields, frame: Frame, query: Query) -> CatalogFieldsResult:
    rows = EventsRequest(table=frame.tables, names=request.names)
    sample = Rows(request=rows, frame=frame, columns=columns_of(rows, frame), shape="ndjson")
    result = await first_rows(sample, query, SAMPLE)
    texts = result.data[0] if result.data else []
    entries = await asyncio.to_thread(fields.describe, texts, request.prefix)
    shown, more = _cut(tuple(entries), request.limit)
    return CatalogFieldsResult(data=shown, truncated=more, sampled=len(texts), meta=_facts(result, frame, query))


async def _values(request: CatalogValues, frame: Frame, query: Query) -> CatalogValuesResult:
    result = await query.run(values_sql(request, frame))
    entries = tuple(ValueEntry(value=value.decode(errors="replace"), count=count) for value, count in result.rows())
    shown, more = _cut(entries, request.limit)
    return CatalogValuesResult(data=shown, truncated=more, meta=_facts(result, frame, query))


def _cut(entries: tuple[T, ...], limit: int) -> tuple[tuple[T, ...], bool]:
    return entries[:limit], len(entries) > limit


def _facts(result: Result, frame: Frame, query: Query) -> Facts:
    return Facts(rows_read=result.rows_read, bytes_read=result.bytes_read, as_of=frame.as_of, query_id=query.id)
