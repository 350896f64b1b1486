"""Profiles against their definition: random histories arrive in batches, and are projected, or half, or again; whatever
the order, what is there in the end is what the definition says."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.kit import sql
from services.kit.identity import actor_key_of
from services.profile.ids import Kind, signed, unsigned
from services.profile.projection import project
from services.profile.projection.blocks import look
from services.profile.projection.follower import Follower
from services.profile.projection.rebuild import rebuild
from services.profile.resources import Resources
from tests.api import insert
from tests.infra import EmbeddedServers, embedded_servers
from tests.oracle.identity import Person
from tests.oracle.profiles import Profile, profile_id
from tests.people import connected
from tests.profile_histories import Batch, History, history, traits_null

KINDS: tuple[Kind, ...] = ("user", "anonymous")
_MERGES = ("workspace_id", "loser_key", "winner_key", "winner_kind", "winner_id", "undone", "version")


@pytest.fixture(scope="module")
def servers() -> Iterator[EmbeddedServers]:
    """Servers of their own: a profile service that is at work elsewhere would carry out the deletions written here, and
    take away rows of which the definition knows."""
    with embedded_servers() as started:
        yield started


@pytest.fixture(scope="module")
async def resources(servers: EmbeddedServers) -> AsyncIterator[Resources]:
    async with connected(servers.settings) as found:
        yield found


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class World:
    """Some histories on their way through a follower, which dies and begins again."""

    def __init__(
        self, resources: Resources, http: aiohttp.ClientSession, rng: Random, histories: list[History]
    ) -> None:
        self._resources, self._http, self._rng, self._histories = resources, http, rng, histories
        self._version = 0
        self._blocked: set[tuple[UUID, int]] = set()
        self._follower = Follower(resources)

    async def happen(self) -> None:
        """Let all batches arrive, with steps of all kinds in between."""
        _, self._follower.read = look({}, await self._follower.reader.parts(), now=0, patience=0)
        self._follower.blocked = await self._follower.reader.blocked()
        for number in range(max(len(each.batches) for each in self._histories)):
            batches = {each.workspace: each.batches[number] for each in self._histories}
            await insert(
                self._resources.settings,
                self._http,
                {
                    workspace: [event | {"traits_null": traits_null(event)} for event in batch.events]
                    for workspace, batch in batches.items()
                },
                reload=False,
            )
            await self._decide(batches)
            await self._step()
        await self._follower.step()

    async def _step(self) -> None:
        kind = self._rng.random()
        if kind < 0.3:
            return  # more comes before anybody looks
        before = self._follower.read, self._follower.blocked
        if kind < 0.6:  # killed
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rng.random() * 0.3):
                    await self._follower.step()
            self._follower.read, self._follower.blocked = before
        elif kind < 0.7:  # its progress is lost
            await self._follower.step()
            self._follower.read, self._follower.blocked = before
        elif kind < 0.8:
            await rebuild(
                self._resources, self._rng.choice(self._histories).workspace, publish=self._rng.random() < 0.5
            )
        else:
            await self._follower.step()

    async def _decide(self, batches: Mapping[UUID, Batch]) -> None:
        self._version += 1
        clickhouse = self._resources.clickhouse
        merges, blocked = [], []
        for workspace, batch in batches.items():
            merges += [self._merge(workspace, *pair) for pair in batch.merges.items()]
            now = {actor_key_of(workspace, kind, id) for id in batch.blocked for kind in KINDS}
            self._blocked |= {(workspace, key) for key in now}
            blocked += [(*each, each[1] not in now, self._version) for each in self._blocked if each[0] == workspace]
        if blocked:
            columns = ("workspace_id", "actor_key", "undone", "version")
            await clickhouse.insert("cdp.identity_blocked", columns, list(zip(*blocked, strict=True)))
        if merges:
            await clickhouse.insert("cdp.identity_merges", _MERGES, list(zip(*merges, strict=True)))
        await self._follower.reader.reload()
        for workspace, batch in batches.items():
            persons = {person for pair in batch.merges.items() for person in pair if person}
            await project(self._resources, workspace, {actor_key_of(workspace, *person) for person in persons})
            if batch.suppressed:
                await self._suppress(workspace, [actor_key_of(workspace, *person) for person in batch.suppressed])

    def _merge(self, workspace: UUID, loser: Person, winner: Person | None) -> tuple[Any, ...]:
        kind, id = winner or ("user", "nobody")
        keys = actor_key_of(workspace, *loser), actor_key_of(workspace, kind, id)
        return (workspace, *keys, kind, id, int(winner is None), self._version)

    async def _suppress(self, workspace: UUID, keys: Sequence[int]) -> None:
        async with self._resources.postgres.connection() as connection:
            deletion = uuid4()
            await connection.execute(
                "INSERT INTO profile.deletions (id, workspace_id, actor_keys, profiles, requested_by, completed_at) "
                "VALUES ($1, $2, '{}', '{}', 'test', now())",
                *(deletion, workspace),
            )
            await connection.execute(
                "INSERT INTO profile.suppressions (workspace_id, actor_key, deletion_id) "
                "SELECT $1, unnest($2::bigint[]), $3 ON CONFLICT DO NOTHING",
                *(workspace, list(map(signed, keys)), deletion),
            )
        await project(self._resources, workspace, keys)


async def found(resources: Resources, workspace: UUID) -> dict[UUID, Any]:
    """What the stores hold, in the form of `wanted`."""
    async with resources.postgres.connection() as connection:
        profiles = await connection.fetch(
            "SELECT p.*, o.origins, o.actor_key FROM profiles p JOIN profile.trait_origins o ON o.profile_id = p.id "
            "WHERE p.workspace_id = $1",
            workspace,
        )
        ids = await connection.fetch("SELECT * FROM profile.identities WHERE workspace_id = $1", workspace)
        assert not await connection.fetchval(
            "SELECT count(*) FROM profile.trait_writes WHERE workspace_id = $1", workspace
        )
    traits = await resources.clickhouse.query(
        f"SELECT actor_key, key, value, num, toUnixTimestamp64Milli(at) FROM cdp.profile_traits FINAL "
        f"WHERE workspace_id = {sql.uuid(workspace)}",
        query_id=uuid4().hex,
        timeout=20,
    )
    queried: dict[int, dict[str, Any]] = {}
    for key, name, value, num, at in traits.rows():
        decoded = json.loads(value)
        number = isinstance(decoded, int | float) and not isinstance(decoded, bool)
        assert num == (decoded if number else None)
        queried.setdefault(key, {})[name.decode()] = (exact(decoded), at)
    keys = {unsigned(row["actor_key"]) for row in profiles}
    assert queried.keys() <= keys
    return {
        row["id"]: {
            "user_id": row["user_id"],
            "anonymous_ids": row["anonymous_ids"],
            "traits": {name: exact(value) for name, value in json.loads(row["traits"]).items()},
            "origins": json.loads(row["origins"]),
            "seen": (row["first_seen_at"].timestamp(), row["last_seen_at"].timestamp()),
            "ids": {
                (each["kind"], each["id"]): (each["first_seen_at"].timestamp(), each["last_seen_at"].timestamp())
                for each in ids
                if each["profile_id"] == row["id"]
            },
            "queried": queried.get(unsigned(row["actor_key"]), {}),
        }
        for row in profiles
    }


def wanted(workspace: UUID, profiles: Mapping[Person, Profile]) -> dict[UUID, Any]:
    """What the definition says."""
    return {
        profile_id(workspace, person): {
            "user_id": profile.user_id,
            "anonymous_ids": profile.anonymous_ids,
            "traits": {plain(name): exact(value) for name, value in profile.traits.items()},
            "origins": {plain(name): [iso(at), message] for name, (at, message) in profile.origins.items()},
            "seen": tuple(at / 1000 for at in profile.seen),
            "ids": {id: (first / 1000, last / 1000) for id, (first, last) in profile.ids.items()},
            "queried": {
                plain(name): (exact(value), profile.origins[name][0]) for name, value in profile.traits.items()
            },
        }
        for person, profile in profiles.items()
    }


def plain(name: str) -> str:
    """As PostgreSQL can hold it."""
    return name.replace("\0", "\ufffd")


def exact(value: Any) -> str:
    """A JSON value so that 1 and 1.0 are equal, and 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return f"[{', '.join(map(exact, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{plain(key)}: {exact(value[key])}' for key in sorted(value))}}}"
    return plain(json.dumps(value, ensure_ascii=False).replace("\\u0000", "\0"))


def iso(milliseconds: int) -> str:
    """A time as the origins have it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


async def messages(resources: Resources, workspace: UUID) -> int:
    """How many messages about a workspace were put down and have not been published."""
    async with resources.postgres.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM profile.outbox WHERE workspace_id = $1", workspace)
    return count


@settings(
    max_examples=int(os.environ.get("PROJECTION_EXAMPLES", "2")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
@given(seed=st.integers(0, 2**32))
async def test_profiles_are_what_the_definition_says_however_events_arrive(
    resources: Resources, http: aiohttp.ClientSession, seed: int
) -> None:
    rng = Random(seed)
    histories = [history(rng, groups=groups) for groups in (15, 5)]
    await World(resources, http, rng, histories).happen()
    for each in histories:
        expected = wanted(each.workspace, each.expected)
        assert await found(resources, each.workspace) == expected, (seed, each)
        told = await messages(resources, each.workspace)
        await rebuild(resources, each.workspace)
        assert await found(resources, each.workspace) == expected, (seed, each)
        assert await messages(resources, each.workspace) <= told, "a rebuild told of differences there are not"
