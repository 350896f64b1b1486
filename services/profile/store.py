"""Profiles in PostgreSQL, as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from contracts.profiles import Profile, TraitOrigin
from services.kit.postgres import Postgres
from services.profile.references import ById, ByTrait

_COLUMNS: Final = """
    p.id, p.user_id, p.anonymous_ids, p.traits, o.origins, p.first_seen_at, p.last_seen_at
FROM profiles p LEFT JOIN profile.trait_origins o ON o.profile_id = p.id
"""
_BY_ID: Final = f"""
SELECT {_COLUMNS}
WHERE p.workspace_id = $1 AND p.id = coalesce(
    (SELECT profile_id FROM profile.identities WHERE own_profile = $2 AND workspace_id = $1), $2)
"""
# All are found first: with the LIMIT beside the trait the planner may go through every profile to meet the first ones.
_BY_TRAIT: Final = f"""
WITH found AS MATERIALIZED (
    SELECT h.id FROM profiles h WHERE h.workspace_id = $1 AND h.traits @> ANY ($2::jsonb[])
)
SELECT {_COLUMNS}
WHERE p.id IN (SELECT found.id FROM found ORDER BY found.id LIMIT $3)
ORDER BY p.id
"""
_origins: Final = msgspec.json.Decoder(dict[str, tuple[str, str]])


async def find(postgres: Postgres, workspace: UUID, wanted: ById | ByTrait, most: int) -> list[Profile]:
    """Return the profiles of a workspace that a reference means, at most `most`."""
    async with postgres.connection() as connection:
        rows: Sequence[asyncpg.Record]
        if isinstance(wanted, ById):
            rows = await connection.fetch(_BY_ID, workspace, wanted.own_profile)
        else:
            rows = await connection.fetch(_BY_TRAIT, workspace, list(wanted.documents), most)
    return [profile_of(row) for row in rows]


def profile_of(row: asyncpg.Record) -> Profile:
    """Return the profile that a row of the columns above holds."""
    traits: dict[str, Any] = msgspec.json.decode(row["traits"])
    origins = _origins.decode(row["origins"]) if row["origins"] is not None else {}
    return Profile(
        id=row["id"],
        user_id=row["user_id"],
        anonymous_ids=tuple(row["anonymous_ids"]),
        traits=traits,
        trait_origins={
            key: msgspec.convert({"at": at, "message_id": message_id}, TraitOrigin)
            for key, (at, message_id) in origins.items()
        },
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
    )
