"""The operation `profile.export`: all profiles a search finds, as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from contracts.operation import MEDIA_TYPES
from contracts.profile_search import ProfilesExport, ProfileSort
from services.kit.service import RequestContext, Stream
from services.profile.resources import Resources
from services.profile.search.finding import passes
from services.profile.search.rows import Shape, csv_line, csv_values, json_line
from services.profile.search.session import explained, patience, reading
from services.profile.search.settling import filter_of
from services.profile.search.statements import Statement, Statements

_CHUNK: Final = 500
"""Rows held at a time."""


class Exporter:
    """Streams profiles. Each stream holds a connection for as long as its reader takes: only some of them may."""

    def __init__(self, most: int) -> None:
        self._places = asyncio.Semaphore(most)

    async def export(self, resources: Resources, request: ProfilesExport, context: RequestContext) -> Stream:
        """Answer `profile.export`.

        Raises:
            InvalidRequest: something in the request cannot be; names the field.
        """
        shape = Shape(request.columns)
        wanted = await filter_of(resources, request, context)
        statement = Statements(wanted, ProfileSort()).unordered()
        totals = _Totals(wanted.clock.as_of)
        chunks = self._chunks(resources, statement, shape, totals, context)
        return Stream(chunks, content_type=MEDIA_TYPES[context.format], totals=totals.read)

    async def _chunks(
        self, resources: Resources, statement: Statement, shape: Shape, totals: _Totals, context: RequestContext
    ) -> AsyncIterator[bytes]:
        as_csv = context.format == "csv"
        if as_csv:
            yield csv_line(shape.columns)
        seconds = context.remaining()
        async with self._places, explained(context, seconds), reading(resources.postgres, seconds) as connection:
            cursor = await connection.cursor(statement.sql, *statement.values, timeout=patience(seconds))
            while rows := await cursor.fetch(_CHUNK, timeout=patience(seconds)):
                kept = [shape.show(row) for row in rows if passes(statement, row)]
                totals.rows += len(kept)
                yield _csv(kept) if as_csv else b"".join(json_line(shown) + b"\n" for shown in kept)


class _Totals:
    """What the end frame of a stream says, counted while it flows."""

    def __init__(self, as_of: datetime) -> None:
        self._as_of = as_of
        self.rows = 0

    def read(self) -> dict[str, Any]:
        return {"rows": self.rows, "meta": {"as_of": self._as_of}}


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(csv_line(csv_values(shown)) for shown in rows)
