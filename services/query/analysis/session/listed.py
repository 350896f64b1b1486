"""The operation `query.session_list`: the sessions themselves, page after page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from contracts.errors import InvalidRequest
from contracts.session import ListedSession, SessionListPage, SessionListRequest
from services.kit import cursor, sql
from services.kit.cursor import Cursor
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis.delivery import Table, delivered
from services.query.analysis.listing import named
from services.query.analysis.nested import under
from services.query.analysis.session.handlers import condition_of
from services.query.analysis.session.plan import Plan, settle
from services.query.analysis.session.statements import list_sql, moment, pages_sql, rows_sql
from services.query.resources import Resources

Row: TypeAlias = tuple[int, Any, int, int, int]
"""What sessions are sorted by, key of the actor, start, end, events."""


async def session_list(resources: Resources, request: SessionListRequest, context: RequestContext) -> Answer:
    """Answer `query.session_list`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    before = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await settle(resources, request.query, context, page=before)
    query = resources.query(context, plan.frame)
    statement = list_sql(
        rows_sql(plan),
        await condition_of(query, plan, request),
        newest=request.order == "newest",
        after=None if before is None else _after(plan, before),
        limit=request.limit,
    )
    total, found = next(iter((await query.run(statement)).rows()))
    rows: list[Row] = found[: request.limit]
    following = None
    if len(found) > request.limit:
        following = _cursor(plan, request, rows[-1])
    data = await _shown(query, plan, rows)
    page = SessionListPage(data=data, total=total, next_cursor=following, meta=query.facts(plan.frame.as_of))
    return delivered(context, page, lambda: _table(page), cache=plan.policy(resources))


def _cursor(plan: Plan, request: SessionListRequest, row: Row) -> str:
    _, actor, start, _, _ = row
    key = actor.decode(errors="surrogateescape") if isinstance(actor, bytes) else str(actor)
    frame = plan.frame
    return cursor.write(frame.workspace, request, f"{start}:{key}", as_of=frame.as_of, timezone=frame.timezone)


def _after(plan: Plan, before: Cursor) -> tuple[int, str]:
    """Return the start and the actor (SQL) of the session a cursor stands at."""
    start, _, key = str(before.last).partition(":")
    try:
        return int(start), _literal(plan, int(key) if plan.subject.keys == "actor" else key)
    except ValueError as error:
        raise InvalidRequest.at("/cursor", "not a cursor of this list") from error


def _literal(plan: Plan, key: Any) -> str:
    if plan.subject.keys == "actor":
        return f"toUInt64({sql.integer(int(key))})"
    return sql.string(key if isinstance(key, str) else key.decode(errors="surrogateescape"))


async def _shown(query: Query, plan: Plan, rows: Sequence[Row]) -> tuple[ListedSession, ...]:
    whose = await named(query, plan.frame, plan.subject, [actor for _, actor, _, _, _ in rows])
    pages: dict[int, tuple[bytes, bytes]] = {}
    if rows and "page" in plan.tables:
        sessions = [(_literal(plan, actor), start, end) for _, actor, start, end, _ in rows]
        pages = {place: (entry, exit_) for place, entry, exit_ in (await query.run(pages_sql(plan, sessions))).rows()}
    listed = []
    for place, (who, (_, _, start, end, events)) in enumerate(zip(whose, rows, strict=True)):
        entry, exit_ = pages.get(place, (b"", b""))
        listed.append(
            ListedSession(
                actor=who.actor,
                key=who.key,
                start=moment(start),
                end=moment(end),
                events=events,
                seconds=(end - start) / 1000,
                entry_page=entry.decode(errors="replace") or None,
                exit_page=exit_.decode(errors="replace") or None,
            )
        )
    return tuple(listed)


def _table(page: SessionListPage) -> Table:
    header = ["kind", "id", "key", "start", "end", "events", "seconds", "entry_page", "exit_page"]
    return header, [
        [
            one.actor and one.actor.kind,
            one.actor and one.actor.id,
            one.key,
            *(one.start, one.end, one.events, one.seconds, one.entry_page, one.exit_page),
        ]
        for one in page.data
    ]
