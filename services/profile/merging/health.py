"""Ids that gather suspiciously many others: devices people share, test accounts, ids that senders make up."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from contracts.common import Actor
from contracts.errors import InvalidRequest
from contracts.profile_merges import IdWarning, WarningKind, WarningsList, WarningsPage
from services.kit import cursor
from services.kit.clickhouse import External
from services.kit.service import RequestContext
from services.profile.ids import Kind, profile_id
from services.profile.merging import health_sql
from services.profile.resources import Resources

_SECONDS: Final = 25.0
_BLOCK: Final = "block it, if nobody's: PUT /workspace with it in blocked_ids"
_ADVICE: Final[dict[WarningKind, str]] = {
    "many_ids": "look which id joins them (many_users, many_devices, GET /profiles/{id}/merges): block it with PUT "
    "/workspace, or take the merge back",
    "many_users": f"a device that many share, or an id that senders make up: {_BLOCK}",
    "many_devices": f"a test account, a robot, or an id that senders make up: {_BLOCK}",
}
_KINDS: Final[dict[int, Kind]] = {1: "user", 2: "anonymous"}


async def warnings(resources: Resources, request: WarningsList, context: RequestContext) -> WarningsPage:
    """Return a page of the warnings of a workspace, the largest counts first.

    Raises:
        InvalidRequest: a cursor of another request.
    """
    workspace = context.workspace
    after = None if request.cursor is None else _place(cursor.read(workspace, request, request.cursor).last)
    rows = await _rows(resources, workspace, kind=request.kind, after=after, limit=request.limit + 1)
    shown, following = rows[: request.limit], None
    if len(rows) > request.limit:
        last = "{0.number}:{0.kind}:{0.key}".format(shown[-1])
        following = cursor.write(workspace, request, last, as_of=datetime.now(UTC), timezone="UTC")
    return WarningsPage(data=tuple(_warning(workspace, row) for row in shown), next_cursor=following)


async def of_ids(resources: Resources, workspace: UUID, keys: Collection[int], most: int = 50) -> tuple[IdWarning, ...]:
    """Return the warnings that some ids, those of a profile, give cause for, at most `most`, the largest first.

    `keys`: 0 … 2^64 - 1.

    Raises:
        As `ClickHouse.query`.
    """
    if not keys:
        return ()
    rows = await _rows(resources, workspace, only=keys, limit=most)
    return tuple(_warning(workspace, row) for row in rows)


class _Row(NamedTuple):
    kind: WarningKind
    key: int
    actor_kind: int
    actor_id: bytes
    number: int
    first: datetime
    last: datetime
    lead_kind: int
    lead_id: bytes


async def _rows(
    resources: Resources,
    workspace: UUID,
    *,
    kind: WarningKind | None = None,
    only: Collection[int] | None = None,
    after: health_sql.Place | None = None,
    limit: int,
) -> list[_Row]:
    settings = resources.settings
    statement = health_sql.warnings(
        workspace,
        most_ids=settings.profiles_many_ids,
        most_users=settings.profiles_many_users,
        kind=kind,
        only=only is not None,
        after=after,
        limit=limit,
    )
    keys = [] if only is None else [External(health_sql.LOOKED_AT, [("key", "UInt64")], [(key,) for key in only])]
    result = await resources.clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=_SECONDS, external=keys)
    return [_Row(name.decode(), *rest) for name, *rest in result.rows()]


def _warning(workspace: UUID, row: _Row) -> IdWarning:
    lead = profile_id(workspace, _KINDS[row.lead_kind], row.lead_id.decode(errors="replace"))
    return IdWarning(
        kind=row.kind,
        profile=lead,
        actor=Actor(kind=_KINDS[row.actor_kind], id=row.actor_id.decode(errors="replace")),
        count=row.number,
        first_seen=row.first,
        last_seen=row.last,
        advice=_ADVICE[row.kind],
    )


def _place(last: object) -> health_sql.Place:
    count, _, rest = str(last).partition(":")
    kind, _, key = rest.partition(":")
    if kind not in _ADVICE or not _is_natural(count) or not _is_natural(key):
        raise InvalidRequest.at("/cursor", "not a cursor of warnings")
    return health_sql.Place(int(count), kind, int(key))


def _is_natural(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:20]) < 1 << 64 and len(text) <= 20
