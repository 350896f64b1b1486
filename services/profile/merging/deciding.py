"""Whether two profiles can become one, decided on whom their ids lead to now."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import asyncpg

from contracts.errors import Conflict
from services.profile import references
from services.profile.merging import graph, store
from services.profile.merging.graph import Person, decided, lead
from services.profile.profile import one
from services.profile.references import ById
from services.profile.resources import Resources

_NAMED = "SELECT actor_key, kind, id FROM profile.identities WHERE workspace_id = $1 AND own_profile = $2"


class Pair(NamedTuple):
    """The ids that lead two profiles."""

    winner: Person
    loser: Person


async def named(resources: Resources, workspace: UUID, reference: str, pointer: str) -> Person:
    """Return the id that a reference names: itself, or the one that leads the profile.

    Raises:
        InvalidRequest, NotFound, Conflict: as `services.profile.profile.one`; or profiles are not made here.
    """
    if resources.settings.profiles_source == "external":
        raise Conflict("profiles are made elsewhere (ANALYTICS_PROFILES_SOURCE=external): merge them there")
    profile = await one(resources, workspace, reference, pointer)
    wanted = references.parse(workspace, reference, resources.external_ids, pointer)
    own = wanted.own_profile if isinstance(wanted, ById) else profile.id
    row = await resources.postgres.fetchrow(_NAMED, workspace, own)
    if row is None:
        raise Conflict(f"{reference!r} is changing just now: ask again")
    return Person(*row)


async def decide(
    connection: asyncpg.Connection, resources: Resources, workspace: UUID, winner: Person, loser: Person
) -> Pair:
    """Return the ids that lead the profiles of two ids; the same one twice when both are one profile already.

    Raises:
        Conflict: a merge with an id that is blocked now stands in the way, or merges would be too deep.
    """
    edges = await decided(connection, resources.clickhouse, workspace)
    pair = Pair(await lead(edges, winner), await lead(edges, loser))
    if pair.winner == pair.loser:
        return pair
    before = await store.newest(connection, workspace, pair.loser)
    if before is not None and before["undone_at"] is None:
        raise Conflict(
            f"{pair.loser.id!r} is merged into {before['winner_id']!r}, which the workspace blocks: "
            f"take the merge {before['id']} back first"
        )
    if await graph.closes(connection, workspace, pair.loser, pair.winner):
        raise Conflict(
            f"{pair.winner.id!r} is merged into {pair.loser.id!r} by way of an id that the workspace blocks: "
            "take that merge back first"
        )
    if await store.is_deep(connection, workspace, pair.loser):
        raise Conflict(
            f"{pair.loser.id!r} is at the end of {store.DEEPEST} merges, one into the next: merge the other way round"
        )
    return pair
