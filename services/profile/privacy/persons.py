"""All ids of a person that is to be forgotten: what is projected, and what links and merges say already."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from contracts.common import Actor
from services.kit import sql
from services.kit.clickhouse import ClickHouse
from services.kit.identity import DICTIONARY, actor_key_of, resolve
from services.profile.ids import profile_id, signed

_SECONDS: Final = 30.0
_SIBLINGS: Final = """
SELECT kind, id, own_profile, profile_id FROM profile.identities WHERE workspace_id = $1 AND profile_id IN (
    SELECT profile_id FROM profile.identities WHERE workspace_id = $1 AND actor_key = ANY ($2::bigint[]))
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Ids, and every profile id that stood for one of them."""

    actors: tuple[Actor, ...]
    profiles: frozenset[UUID]

    def keys(self, workspace: UUID) -> frozenset[int]:
        """Return the keys of the ids."""
        return keys_of(workspace, self.actors)


def keys_of(workspace: UUID, actors: Collection[Actor]) -> frozenset[int]:
    """Return the keys of some ids."""
    return frozenset(actor_key_of(workspace, actor.kind, actor.id) for actor in actors)


async def linked(clickhouse: ClickHouse, workspace: UUID, actors: Collection[Actor]) -> tuple[Actor, ...]:
    """Return the ids that links and merges join with some ids, whether they have been projected or not.

    Raises:
        As `ClickHouse.query`.
    """
    keys = ", ".join(f"toUInt64({key})" for key in sorted(keys_of(workspace, actors)))
    joined = (
        f"WITH arrayMap(key -> {resolve('key')}, [{keys}]) AS ends "
        f"SELECT arrayJoin(ends) AS key UNION ALL SELECT key FROM dictionary('{DICTIONARY}') WHERE has(ends, actor_key)"
    )
    mine = f"workspace_id = {sql.uuid(workspace)}"
    statement = (
        f"SELECT DISTINCT 'anonymous', anonymous_id FROM cdp.identity_links "
        f"WHERE {mine} AND anonymous_key IN ({joined}) UNION ALL "
        f"SELECT DISTINCT 'user', user_id FROM cdp.identity_links WHERE {mine} AND user_key IN ({joined})"
    )
    result = await clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=_SECONDS)
    return tuple(
        Actor(kind=_text(kind), id=_text(id_))  # type: ignore[arg-type]
        for kind, id_ in result.rows()
    )


async def person(connection: asyncpg.Connection, workspace: UUID, actors: Sequence[Actor]) -> Person:
    """Return these ids with all that belong to the same profiles now."""
    keys = [signed(key) for key in keys_of(workspace, actors)]
    rows = await connection.fetch(_SIBLINGS, workspace, keys)
    found = {(actor.kind, actor.id) for actor in actors} | {(row["kind"], row["id"]) for row in rows}
    profiles = {row["own_profile"] for row in rows} | {row["profile_id"] for row in rows}
    profiles |= {profile_id(workspace, kind, id_) for kind, id_ in found}
    return Person(tuple(Actor(kind=kind, id=id_) for kind, id_ in sorted(found)), frozenset(profiles))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
