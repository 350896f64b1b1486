"""The actors behind a count: a page of keys in their order, and whose they are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from contracts.analysis import ActorsPage, ListedActor
from contracts.base import Message
from contracts.common import TABLES, Actor
from contracts.errors import InvalidRequest
from services.kit import cursor, identity, sql
from services.kit.clickhouse import External
from services.kit.cursor import Cursor
from services.kit.statements import Query
from services.query.analysis.subject import Subject
from services.query.frame import Frame

PAGE = 100
_WANTED: Final = "wanted_actors"


async def actors_page(
    query: Query,
    frame: Frame,
    subject: Subject,
    request: Message,
    *,
    selection: str,
    limit: int,
    after: Cursor | None,
) -> ActorsPage:
    """Return a page of the actors that `selection`, a SELECT of one column `actor`, finds; each counts once.

    `after`: the cursor of the page before, already read; the page's own is bound to `request`.

    Raises:
        InvalidRequest: the cursor is none of such a list.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    result = await query.run(page_sql(selection, subject, limit=limit, after=_last(after, subject)))
    total, keys = result.data[0][0], result.data[1][0]
    return await _page(query, frame, subject, request, total=total, keys=keys, limit=limit)


async def page_of(
    query: Query,
    frame: Frame,
    subject: Subject,
    request: Message,
    *,
    keys: Sequence[Any],
    limit: int,
    after: Cursor | None,
) -> ActorsPage:
    """Return a page of actors whose keys are known: ascending, each once; otherwise as `actors_page`."""
    last: int | str | bytes | None = _last(after, subject)
    if isinstance(last, str):
        last = last.encode(errors="surrogateescape")
    start = 0 if last is None else bisect_right(keys, last)
    return await _page(
        query, frame, subject, request, total=len(keys), keys=keys[start : start + limit + 1], limit=limit
    )


async def _page(
    query: Query, frame: Frame, subject: Subject, request: Message, *, total: int, keys: Sequence[Any], limit: int
) -> ActorsPage:
    """Return the page of the first `limit` keys; one more says that there is a next page."""
    more = len(keys) > limit
    keys = keys[:limit]
    listed = await named(query, frame, subject, keys)
    following = None
    if more:
        last = keys[-1] if subject.keys == "actor" else keys[-1].decode(errors="surrogateescape")
        following = cursor.write(frame.workspace, request, last, as_of=frame.as_of, timezone=frame.timezone)
    return ActorsPage(data=listed, total=total, next_cursor=following, meta=query.facts(frame.as_of))


def page_sql(selection: str, subject: Subject, *, limit: int, after: int | str | None) -> str:
    """Return one row: how many actors the selection has, and the first keys of those behind `after`, one more than the
    limit."""
    behind = "1"
    if isinstance(after, str):
        behind = f"actor > {sql.string(after)}"
    elif after is not None:
        behind = f"actor > toUInt64({sql.integer(after)})"
    keys = f"groupArraySortedIf({limit + 1})(actor, {behind})"
    return f"SELECT count(), {keys} FROM (SELECT DISTINCT actor FROM ({selection}))"


def _last(after: Cursor | None, subject: Subject) -> int | str | None:
    if after is None:
        return None
    if not isinstance(after.last, int if subject.keys == "actor" else str):
        raise InvalidRequest.at("/cursor", "not a cursor of this list")
    return after.last


async def named(
    query: Query, frame: Frame, subject: Subject, keys: Sequence[int] | Sequence[bytes]
) -> tuple[ListedActor, ...]:
    """Return keys of those counted, as the engine gives them, as answers show them, in their order."""
    if subject.keys == "actor":
        actors = await _actors(query, frame, {int(key) for key in keys})
        return tuple(ListedActor(actor=actors[int(key)]) for key in keys)
    texts = [key.decode(errors="replace") for key in keys if isinstance(key, bytes)]
    if subject.by != "session":
        return tuple(ListedActor(key=text) for text in texts)
    sessions = [tuple(map(int, text.split(":"))) for text in texts]
    actors = await _actors(query, frame, {actor for actor, _ in sessions})
    return tuple(ListedActor(actor=actors[actor], key=_instant(start)) for actor, start in sessions)


def _instant(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _actors(query: Query, frame: Frame, keys: Collection[int]) -> Mapping[int, Actor]:
    if not keys:
        return {}
    # A table, not a text of keys: 50,000 of them took 6 s and over 1 GiB to parse, and take 0.4 s so.
    wanted = External(_WANTED, [("key", "UInt64")], [(key,) for key in keys])
    result = await query.run(names_sql(frame), external=[wanted])
    return {
        key: Actor(kind="user" if kind == b"user" else "anonymous", id=id_.decode(errors="replace"))
        for key, kind, id_ in result.rows()
    }


def names_sql(frame: Frame) -> str:
    """Return rows of (key, kind, id) of the actors whose keys are in the external table: from the links that lead to
    them, else from their own events."""
    wanted = f"(SELECT key FROM {_WANTED})"
    own_key = identity.own_key(frame.blocked)
    kind, id_ = identity.actor_columns(frame.blocked)
    linked = (
        f"SELECT actor_key AS key, if(kind = 1, 'user', 'anonymous') AS kind, id "
        f"FROM dictionary('{identity.DICTIONARY}') WHERE actor_key IN {wanted}"
    )
    own = [
        f"SELECT {own_key} AS key, {kind} AS kind, {id_} AS id FROM events_{table} "
        f"PREWHERE workspace_id = {sql.uuid(frame.workspace)} AND {own_key} IN {wanted} "
        f"AND timestamp < {sql.datetime64(frame.history_end)} LIMIT 1 BY key"
        for table in TABLES
    ]
    united = " UNION ALL ".join(f"SELECT * FROM ({one})" for one in [linked, *own])
    return f"SELECT key, any(kind), any(id) FROM ({united}) GROUP BY key"
