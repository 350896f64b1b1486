"""Whom an id leads to, from what was decided: merges as PostgreSQL has them, links as ClickHouse has them.

The dictionary `cdp.identity` says the same once merges are applied; whoever decides about merges cannot wait for that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import asyncpg

from contracts.common import Actor
from services.kit import sql
from services.kit.clickhouse import ClickHouse
from services.profile.ids import Kind, profile_id, signed, unsigned

_SECONDS: Final = 10.0
_MERGE: Final = """
SELECT winner_key, winner_kind, winner_id FROM profile.merges
WHERE workspace_id = $1 AND loser_key = $2 AND undone_at IS NULL AND NOT winner_key = ANY ($3)
"""


class Person(NamedTuple):
    """An id of a workspace. `key` as PostgreSQL holds it."""

    key: int
    kind: Kind
    id: str

    @property
    def actor(self) -> Actor:
        """As it is on the wire."""
        return Actor(kind=self.kind, id=self.id)

    def profile(self, workspace: UUID) -> UUID:
        """Return the profile it leads alone."""
        return profile_id(workspace, self.kind, self.id)


class Edges(Protocol):
    """Where an id's events go next."""

    async def merge(self, person: Person) -> Person | None:
        """Return whom it was merged into."""

    async def link(self, person: Person) -> Person | None:
        """Return the user an anonymous id was first linked to."""


async def lead(edges: Edges, person: Person) -> Person:
    """Follow merges, and links where there is no merge, to the end. Of a circle, which only links can close, the
    member with the smallest key among those left by a link stands for all."""
    path: list[Person] = []
    linked: set[Person] = set()
    while person not in path:
        path.append(person)
        following = await edges.merge(person)
        if following is None:
            following = await edges.link(person)
            linked.add(person)
        if following is None:
            return person
        person = following
    return min(linked.intersection(path[path.index(person) :]), key=lambda each: unsigned(each.key))


@dataclass(frozen=True, slots=True)
class Decided:
    """The edges there are now. Merges with ids of `blocked` (keys) do not count while these are blocked."""

    connection: asyncpg.Connection
    clickhouse: ClickHouse
    workspace: UUID
    blocked: frozenset[int]

    async def merge(self, person: Person) -> Person | None:
        """See `Edges`."""
        row = await self.connection.fetchrow(_MERGE, self.workspace, person.key, list(self.blocked))
        return None if row is None else Person(*row)

    async def link(self, person: Person) -> Person | None:
        """See `Edges`."""
        if person.kind == "user":
            return None
        result = await self.clickhouse.query(
            f"SELECT user_key, user_id FROM cdp.identity_links "
            f"WHERE workspace_id = {sql.uuid(self.workspace)} AND anonymous_key = toUInt64({unsigned(person.key)}) "
            f"AND user_key NOT IN {_blocked_sql(self.workspace)} ORDER BY first_seen, user_id LIMIT 1",
            query_id=uuid.uuid4().hex,
            timeout=_SECONDS,
        )
        for key, id_ in result.rows():
            return Person(signed(key), "user", id_.decode(errors="replace"))
        return None


async def decided(connection: asyncpg.Connection, clickhouse: ClickHouse, workspace: UUID) -> Decided:
    """Return the edges of a workspace."""
    result = await clickhouse.query(_blocked_sql(workspace), query_id=uuid.uuid4().hex, timeout=_SECONDS)
    return Decided(connection, clickhouse, workspace, frozenset(signed(key) for (key,) in result.rows()))


async def closes(connection: asyncpg.Connection, workspace: UUID, loser: Person, winner: Person) -> bool:
    """Tell whether merges alone lead from the winner to the loser, those with blocked ids too: such a circle would
    have no end once the ids count again."""
    key: int | None = winner.key
    seen: set[int] = set()
    while key is not None and key not in seen:
        if key == loser.key:
            return True
        seen.add(key)
        row = await connection.fetchrow(_MERGE, workspace, key, [])
        key = None if row is None else row["winner_key"]
    return False


def _blocked_sql(workspace: UUID) -> str:
    return (
        f"(SELECT actor_key FROM cdp.identity_blocked FINAL WHERE workspace_id = {sql.uuid(workspace)} AND NOT undone)"
    )
