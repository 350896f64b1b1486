"""The same traits in both stores: what PostgreSQL finds among profiles ClickHouse finds among their events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from contracts.predicates import Predicate
from contracts.profile_search import ProfileSort
from services.kit import sql
from services.kit.clickhouse import ClickHouse
from services.kit.predicates import SETTINGS, Scope, compile_predicate
from services.kit.settings import Settings
from services.profile.search.compiler import Clock
from services.profile.search.finding import passes
from services.profile.search.statements import Filter, Statements
from tests import profiles
from tests.api import insert
from tests.oracle import profile_search as oracle
from tests.oracle.predicate_samples import AS_OF, Tree
from tests.oracle.profile_samples import ProfileSamples

ZONE = "Europe/Berlin"


class SharedSamples(ProfileSamples):
    """Without what docs/profiles.md says the two stores keep differently: each name once, and no wide doubles."""

    def object(self, depth: int = 0) -> dict[str, Any]:
        return {name: self.value(depth + 1) for name in self.sample(("a", "b", "x y", "é", "1"), self.randrange(4))}

    def scalar(self) -> Any:
        while True:
            found = super().scalar()
            wide = isinstance(found, float) and (abs(found) >= 2**53 or str(found) == "-0.0")
            if not wide and not (isinstance(found, str) and "\0" in found):
                return found

    def path(self) -> str:
        names = (self.choice(("a", "b", "x y", "é", "1")) for _ in range(self.choice((1, 1, 2))))
        return ".".join(name + "[]" * self.choice((0, 0, 0, 1, 1, 2)) for name in names)

    def field(self, inside: bool) -> str:
        return self.path() if inside else f"traits.{self.path()}"

    def tree(self, depth: int = 0, *, inside: bool = False) -> Tree:
        """Return a predicate over traits alone."""
        while True:
            found = super().tree(depth, inside=inside)
            if "_seen_at" not in str(found):
                return found


@pytest.fixture(scope="module")
async def clickhouse(infra: Settings) -> AsyncIterator[ClickHouse]:
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await clickhouse.start()
    yield clickhouse
    await clickhouse.close()


async def in_events(clickhouse: ClickHouse, workspace: UUID, tree: Tree) -> set[int]:
    where = compile_predicate(
        msgspec.convert(tree, Predicate), Scope(workspace=UUID(int=0), tables=("identify",), as_of=AS_OF, timezone=ZONE)
    )
    result = await clickhouse.query(
        f"SELECT toUInt32(message_id) FROM cdp.events_identify WHERE workspace_id = {sql.uuid(workspace)} AND {where}",
        settings=SETTINGS,
        query_id=uuid4().hex,
        timeout=60,
    )
    return set(result.data[0]) if result.data else set()


async def in_profiles(connection: asyncpg.Connection, workspace: UUID, tree: Tree) -> set[int]:
    where = msgspec.convert(tree, Predicate)
    wanted = Filter(workspace=workspace, where=where, text=None, traits=(), clock=Clock(AS_OF, ZONE))
    statement = Statements(wanted, ProfileSort()).unordered()
    rows = await connection.fetch(statement.sql, *statement.values)
    return {int(row["user_id"]) for row in rows if passes(statement, row)}


@settings(max_examples=2, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_both_engines_find_the_same_people(infra: Settings, clickhouse: ClickHouse, seed: int) -> None:
    samples, workspace = SharedSamples(seed), uuid4()
    sent = [samples.object() for _ in range(60)]
    moment = round(AS_OF.timestamp() * 1000)
    events = [
        {"table": "identify", "message_id": str(n), "user_id": str(n), "timestamp": moment, "received_at": moment}
        | {"traits": traits}
        for n, traits in enumerate(sent)
    ]
    async with aiohttp.ClientSession() as http:
        await insert(infra, http, {workspace: events})
    kept = [{**samples.profile(), "user_id": str(n), "traits": oracle.held(traits)} for n, traits in enumerate(sent)]
    await profiles.write(infra, workspace, kept)
    connection = await asyncpg.connect(infra.postgres_url)
    for _ in range(40):
        tree = samples.tree()
        assert await in_profiles(connection, workspace, tree) == await in_events(clickhouse, workspace, tree), tree
    await connection.close()
