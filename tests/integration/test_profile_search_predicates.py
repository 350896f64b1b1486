"""Predicates over profiles against the brute-force oracle, in the real table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from contracts.predicates import Predicate
from contracts.profile_search import ProfileSort
from services.kit.settings import Settings
from services.profile.search.compiler import Clock
from services.profile.search.finding import passes
from services.profile.search.statements import Filter, Statements
from tests import profiles
from tests.oracle import profile_search as oracle
from tests.oracle.predicate_samples import AS_OF, Tree
from tests.oracle.profile_samples import ProfileSamples

ZONE = "Europe/Berlin"


@pytest.fixture(scope="module")
async def connection(infra: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(infra.postgres_url)
    yield connection
    await connection.close()


def meant(workspace: UUID, tree: Tree | None, text: str | None = None, traits: tuple[str, ...] = ()) -> Statements:
    where = None if tree is None else msgspec.convert(tree, Predicate)
    wanted = Filter(workspace=workspace, where=where, text=text, traits=traits, clock=Clock(AS_OF, ZONE))
    return Statements(wanted, ProfileSort())


async def found(connection: asyncpg.Connection, statements: Statements) -> set[UUID]:
    statement = statements.unordered()
    return {row["id"] for row in await connection.fetch(statement.sql, *statement.values) if passes(statement, row)}


async def assert_agreement(
    connection: asyncpg.Connection, infra: Settings, kept: Sequence[oracle.Profile], trees: Sequence[Tree]
) -> None:
    """Hold PostgreSQL against the oracle: every predicate, every profile."""
    workspace = uuid4()
    await profiles.write(infra, workspace, kept)
    for tree in trees:
        expected = {p["id"] for p in kept if oracle.holds(tree, p, as_of=AS_OF, timezone_name=ZONE)}
        answered = await found(connection, meant(workspace, tree))
        odd = [profile for profile in kept if profile["id"] in expected ^ answered]
        assert not odd, f"{tree}\n{odd[0]}\nfound: {odd[0]['id'] in answered}"


@settings(max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_every_predicate_over_profiles_means_what_the_oracle_says(
    connection: asyncpg.Connection, infra: Settings, seed: int
) -> None:
    samples = ProfileSamples(seed)
    kept = [samples.profile() for _ in range(60)]
    await assert_agreement(connection, infra, kept, [samples.tree() for _ in range(120)])
