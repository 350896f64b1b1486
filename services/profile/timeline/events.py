"""The operation `profile.events`: a page of one person's timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from contracts.base import encode
from contracts.common import TABLES, TableName
from contracts.errors import InvalidRequest
from contracts.profile_reads import ProfileEvents
from services.kit import cursor
from services.kit.cursor import Cursor
from services.kit.event_rows import check_names
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.kit.wide import quote_wide_integers
from services.profile.resources import Resources
from services.profile.timeline import person
from services.profile.timeline.frame import Frame, query, settle
from services.profile.timeline.statements import Place, place_of, places_sql, rows_sql, theirs

_SPARE: Final = 2
"""Places looked at for each row wanted: most events come once or twice."""


async def events(resources: Resources, request: ProfileEvents, context: RequestContext) -> Answer:
    """Answer `profile.events`. A page may hold fewer rows than asked for; the last one has no cursor.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        NotFound, Conflict: as `services.profile.profile.get`.
        LimitExceeded, DeadlineExceeded, Unavailable: from the stores.
    """
    before = None if request.cursor is None else cursor.read(context.workspace, _bound(request), request.cursor)
    frame = await settle(resources, request, context, before)
    check_names(request.names, frame.tables)
    whose = await person.find(resources, request.id, context)
    run = query(resources, context, frame)
    look = (request.limit + 1) * _SPARE
    statement = places_sql(
        theirs(whose, frame, request.names),
        newest=request.order == "newest",
        after=None if before is None else _place(before),
        limit=look,
    )
    found = [place_of(row) for row in (await run.run(statement, external=[whose.external])).rows()]
    places = {place[:3]: place for place in found}
    shown = list(places.values())[: request.limit]
    rows = await _rows(run, shown, frame) if shown else {}
    following = None
    if len(places) > request.limit or len(found) == look:
        following = _cursor(context.workspace, request, shown[-1], frame)
    body = b'{"profile_id":%b,"data":[%b],"next_cursor":%b,"meta":%b}' % (
        encode(whose.profile),
        # A place whose row is gone was deleted from the event tables alone.
        b",".join(rows[place[:3]] for place in shown if place[:3] in rows),
        encode(following),
        encode(run.facts(frame.as_of)),
    )
    return Answer(body)


async def _rows(run: Query, places: Sequence[Place], frame: Frame) -> Mapping[tuple[int, int, TableName], bytes]:
    result = await run.page(rows_sql(places, frame))
    best: dict[tuple[int, int, TableName], tuple[int, bytes, int]] = {}
    for row, wide, timestamp, mid, source, version in result.rows():
        key = (timestamp, mid, source.decode())
        if key not in best or best[key][0] < version:
            best[key] = (version, row, wide)
    return {key: quote_wide_integers(row) if wide else row for key, (_, row, wide) in best.items()}


def _bound(request: ProfileEvents) -> ProfileEvents:
    """Return what a cursor is bound to: not to the reference, for after a merge another may find the same person."""
    return msgspec.structs.replace(request, id="any")


def _cursor(workspace: UUID, request: ProfileEvents, last: Place, frame: Frame) -> str:
    place = f"{last.timestamp}:{last.mid}:{last.source}"
    return cursor.write(workspace, _bound(request), place, as_of=frame.as_of, timezone=frame.timezone)


def _place(before: Cursor) -> tuple[int, int, TableName]:
    try:
        timestamp, mid, source = str(before.last).split(":")
        table = next(table for table in TABLES if table == source)
        return int(timestamp), int(mid), table
    except (ValueError, StopIteration) as error:
        raise InvalidRequest.at("/cursor", "not a cursor of a timeline") from error
