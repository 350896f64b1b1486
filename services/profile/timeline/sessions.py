"""The operation `profile.sessions`: a page of one person's visits, as docs/sessions.md means them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from contracts.errors import InvalidRequest
from contracts.profile_reads import ProfileSession, ProfileSessions, ProfileSessionsPage
from services.kit import cursor
from services.kit.cursor import Cursor
from services.kit.service import RequestContext
from services.kit.sessions import Limits
from services.kit.statements import Query
from services.profile.resources import Resources
from services.profile.timeline import person
from services.profile.timeline.frame import Frame, query, settle
from services.profile.timeline.person import Person
from services.profile.timeline.sessions_sql import Edge, Session, edges_sql, paths_sql, sessions_sql
from services.profile.timeline.statements import is_moment, moment, theirs


async def sessions(resources: Resources, request: ProfileSessions, context: RequestContext) -> ProfileSessionsPage:
    """Answer `profile.sessions`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        NotFound, Conflict: as `services.profile.profile.get`.
        LimitExceeded, DeadlineExceeded, Unavailable: from the stores.
    """
    before = None if request.cursor is None else cursor.read(context.workspace, _bound(request), request.cursor)
    frame = await settle(resources, request, context, before)
    whose = await person.find(resources, request.id, context)
    run = query(resources, context, frame)
    statement = sessions_sql(
        theirs(whose, frame),
        Limits(timeout=request.timeout * 1000, duration=request.max_duration * 1000),
        newest=request.order == "newest",
        after=None if before is None else _start(before),
        limit=request.limit + 1,
    )
    total, found = next(iter((await run.run(statement, external=[whose.external])).rows()), (0, []))
    shown = [Session(*one) for one in found[: request.limit]]
    following = None
    if len(found) > request.limit:
        last = shown[-1].start
        following = cursor.write(context.workspace, _bound(request), last, as_of=frame.as_of, timezone=frame.timezone)
    pages = await _pages(run, frame, whose, shown) if shown and "page" in frame.tables else {}
    return ProfileSessionsPage(
        profile_id=whose.profile,
        data=tuple(_shown(one, *pages.get(one.start, (None, None))) for one in shown),
        total=total,
        next_cursor=following,
        meta=run.facts(frame.as_of),
    )


async def _pages(
    run: Query, frame: Frame, whose: Person, shown: Sequence[Session]
) -> Mapping[int, tuple[str | None, str | None]]:
    """Return the paths of the first and the last page event of sessions, by their start."""
    result = await run.run(edges_sql(theirs(whose, frame), shown), external=[whose.external])
    edges = [Edge(*row) for row in result.rows()]
    if not edges:
        return {}
    best: dict[tuple[int, bytes], tuple[int, bytes]] = {}
    for timestamp, message_id, version, path in (await run.run(paths_sql(edges, frame))).rows():
        best[timestamp, message_id] = max((version, path), best.get((timestamp, message_id), (-1, b"")))
    starts = sorted(one.start for one in shown)
    found: dict[int, list[tuple[int, bytes, bytes]]] = defaultdict(list)
    for (timestamp, message_id), (_, path) in best.items():
        found[starts[bisect_right(starts, timestamp) - 1]].append((timestamp, message_id, path))
    # Of several events at one time the order goes by message id.
    return {start: (_path(min(events)), _path(max(events))) for start, events in found.items()}


def _path(event: tuple[int, bytes, bytes]) -> str | None:
    return event[2].decode(errors="replace") or None


def _shown(session: Session, entry: str | None, exit_: str | None) -> ProfileSession:
    return ProfileSession(
        start=moment(session.start),
        end=moment(session.end),
        events=session.events,
        seconds=(session.end - session.start) / 1000,
        entry_page=entry,
        exit_page=exit_,
    )


def _bound(request: ProfileSessions) -> ProfileSessions:
    return msgspec.structs.replace(request, id="any")


def _start(before: Cursor) -> int:
    if not isinstance(before.last, int) or not is_moment(before.last):
        raise InvalidRequest.at("/cursor", "not a cursor of sessions")
    return before.last
