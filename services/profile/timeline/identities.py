"""The operation `profile.identities`: every id of a person, and how it came to be theirs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.common import Actor
from contracts.profile_reads import Identity, ProfileIdentities, ProfileIdentitiesResult
from services.kit import sql
from services.kit.clickhouse import External
from services.kit.identity import Blocked
from services.kit.service import RequestContext
from services.kit.statements import limits
from services.profile.ids import unsigned
from services.profile.merging.health import of_ids
from services.profile.profile import one
from services.profile.resources import Resources

_IDENTITIES: Final = """
SELECT i.actor_key, i.kind, i.id, i.own_profile, i.first_seen_at, i.last_seen_at,
    m.winner_kind, m.winner_id, m.merged_at, m.merged_by
FROM profile.identities i
LEFT JOIN profile.merges m
    ON m.workspace_id = i.workspace_id AND m.loser_key = i.actor_key AND m.undone_at IS NULL
WHERE i.workspace_id = $1 AND i.profile_id = $2
ORDER BY i.own_profile != i.profile_id, i.first_seen_at, i.kind, i.id COLLATE "C"
"""
_WANTED: Final = "linked"


async def identities(
    resources: Resources, request: ProfileIdentities, context: RequestContext
) -> ProfileIdentitiesResult:
    """Return the ids of one person, their own first.

    Raises:
        InvalidRequest, NotFound, Conflict: as `services.profile.profile.get`.
        Unavailable: a store, or the query service, does not answer.
    """
    profile = await one(resources, context.workspace, request.id)
    async with resources.postgres.connection() as connection:
        rows = await connection.fetch(_IDENTITIES, context.workspace, profile.id)
    linked = [unsigned(row["actor_key"]) for row in rows if row["kind"] == "anonymous" and row["merged_at"] is None]
    links = await _first_links(resources, context, linked)
    return ProfileIdentitiesResult(
        profile_id=profile.id,
        data=tuple(_identity(row, profile.id, links) for row in rows),
        warnings=await of_ids(resources, context.workspace, [unsigned(row["actor_key"]) for row in rows]),
    )


async def _first_links(
    resources: Resources, context: RequestContext, keys: Collection[int]
) -> Mapping[int, tuple[str, datetime]]:
    """Return, of anonymous ids by their keys, the user each was first seen with, and when."""
    if not keys:
        return {}
    settings = await resources.workspaces.get(context.workspace)
    blocked = Blocked(context.workspace, settings.blocked_ids)
    result = await resources.clickhouse.query(
        first_links_sql(blocked),
        settings=limits(resources.settings, settings.limits),
        query_id=uuid.uuid4().hex,
        timeout=context.remaining(),
        external=[External(_WANTED, [("key", "UInt64")], [(key,) for key in keys])],
    )
    return {
        key: (user.decode(errors="replace"), datetime.fromtimestamp(seen / 1000, UTC))
        for key, user, seen in result.rows()
    }


def first_links_sql(blocked: Blocked) -> str:
    """Return rows of (anonymous key, user id, when in milliseconds): the link that the identity dictionary follows."""
    unblocked = f" AND user_key NOT IN ({', '.join(map(str, blocked.keys))})" if blocked.keys else ""
    return (
        "SELECT anonymous_key, user_id, toUnixTimestamp64Milli(first_seen) FROM ("
        "SELECT anonymous_key, user_key, any(user_id) AS user_id, min(first_seen) AS first_seen "
        f"FROM cdp.identity_links WHERE workspace_id = {sql.uuid(blocked.workspace)} "
        f"AND anonymous_key IN (SELECT key FROM {_WANTED}){unblocked} GROUP BY anonymous_key, user_key) "
        "ORDER BY anonymous_key, first_seen, user_id LIMIT 1 BY anonymous_key"
    )


def _identity(row: asyncpg.Record, profile: UUID, links: Mapping[int, tuple[str, datetime]]) -> Identity:
    came: dict[str, Any]
    if row["own_profile"] == profile:
        came = {"came": "own", "into": None, "at": None, "by": None}
    elif row["merged_at"] is not None:
        into = Actor(kind=row["winner_kind"], id=row["winner_id"])
        came = {"came": "merged", "into": into, "at": row["merged_at"], "by": row["merged_by"]}
    else:
        user, seen = links.get(unsigned(row["actor_key"]), (None, None))
        came = {"came": "linked", "into": user and Actor(kind="user", id=user), "at": seen, "by": None}
    return Identity(
        kind=row["kind"], id=row["id"], first_seen_at=row["first_seen_at"], last_seen_at=row["last_seen_at"], **came
    )
