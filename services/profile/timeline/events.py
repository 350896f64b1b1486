"""The operation `profile.events`: a page of one person's timeline."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from contracts.base import encode
from contracts.errors import InvalidRequest
from contracts.profile_reads import ProfileEvents
from services.kit import cursor
from services.kit.cursor import Cursor
from services.kit.event_rows import check_names
from services.kit.service import Answer, RequestContext
from services.kit.wide import quote_wide_integers
from services.profile.resources import Resources
from services.profile.timeline import person
from services.profile.timeline.frame import Frame, query, settle
from services.profile.timeline.statements import Place, place_of, rows_sql, theirs

_SPARE: Final = 2
"""Rows looked at for each one wanted: most events come once or twice."""


async def events(resources: Resources, request: ProfileEvents, context: RequestContext) -> Answer:
    """Answer `profile.events`. Of events that were sent many times a page may show fewer than asked for; it is the last
    one only without a cursor.

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
    statement = rows_sql(
        theirs(whose, frame, request.names),
        frame,
        newest=request.order == "newest",
        after=None if before is None else _place(before),
        limit=look,
    )
    found = list((await run.page(statement, external=[whose.external])).rows())
    best: dict[Place, tuple[int, bytes, int]] = {}
    for row, wide, timestamp, message_id, source, version in found:
        place = place_of(timestamp, message_id, source)
        if place not in best or best[place][0] < version:
            best[place] = (version, row, wide)
    shown = list(best)[: request.limit]
    following = None
    if len(best) > request.limit or len(found) == look:
        following = _cursor(context.workspace, request, shown[-1], frame)
    rows = (best[place] for place in shown)
    body = b'{"profile_id":%b,"data":[%b],"next_cursor":%b,"meta":%b}' % (
        encode(whose.profile),
        b",".join(quote_wide_integers(row) if wide else row for _, row, wide in rows),
        encode(following),
        encode(run.facts(frame.as_of)),
    )
    return Answer(body)


def _bound(request: ProfileEvents) -> ProfileEvents:
    """Return what a cursor is bound to: not to the reference, for after a merge another may find the same person."""
    return msgspec.structs.replace(request, id="any")


def _cursor(workspace: UUID, request: ProfileEvents, last: Place, frame: Frame) -> str:
    place = f"{last.timestamp}:{last.source}:{last.message_id.hex()}"
    return cursor.write(workspace, _bound(request), place, as_of=frame.as_of, timezone=frame.timezone)


def _place(before: Cursor) -> Place:
    try:
        timestamp, source, message_id = str(before.last).split(":")
        return place_of(int(timestamp), bytes.fromhex(message_id), source.encode())
    except ValueError as error:
        raise InvalidRequest.at("/cursor", "not a cursor of a timeline") from error
