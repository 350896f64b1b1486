"""Pages of profiles: their order, their number, and that they hold together while profiles come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from contracts.predicates import Predicate
from contracts.profile_search import ProfileSort
from services.kit.postgres import Postgres
from services.kit.settings import Settings
from services.profile.search import finding
from services.profile.search.compiler import Clock
from services.profile.search.order import key_of, order_of, read_key
from services.profile.search.parameters import Parameters
from services.profile.search.statements import Filter, Statements
from tests import profiles
from tests.oracle import predicates
from tests.oracle import profile_search as oracle
from tests.oracle.predicate_samples import AS_OF, Tree
from tests.oracle.profile_samples import ProfileSamples

SORTS = ("last_seen_at", "first_seen_at", "id", "traits.a", "traits.b.a")
TRAITS = ("a", "b", "a.b")


@pytest.fixture(scope="module")
async def postgres(infra: Settings) -> AsyncIterator[Postgres]:
    postgres = Postgres(infra.postgres_url, size=2)
    await postgres.start()
    yield postgres
    await postgres.close()


def statements(
    workspace: UUID, tree: Tree | None, sort: ProfileSort, after: Any = None, text: str | None = None
) -> Statements:
    where = None if tree is None else msgspec.convert(tree, Predicate)
    wanted = Filter(workspace=workspace, where=where, text=text, traits=TRAITS, clock=Clock(AS_OF, "UTC"))
    return Statements(wanted, sort, after)


def ranked(kept: list[oracle.Profile], sort: ProfileSort) -> list[UUID]:
    """Return the ids in the order of docs/profiles.md."""
    down = sort.order == "desc"
    listed = sorted(kept, key=lambda profile: profile["id"], reverse=down)
    if not sort.by.startswith("traits."):
        return [p["id"] for p in sorted(listed, key=lambda profile: profile[sort.by], reverse=down)]
    groups: tuple[list[tuple[Any, UUID]], ...] = ([], [], [])
    for profile in listed:
        value = oracle.flat(oracle.of_profile(profile, sort.by)[0])
        if predicates.absent(value):
            groups[2].append((0, profile["id"]))
        elif (number := predicates.number(value)) is not None:
            groups[0].append((number, profile["id"]))
        else:
            groups[1].append((predicates.text(value)[:128].encode(), profile["id"]))
    return [id_ for group in groups for _, id_ in sorted(group, key=lambda one: one[0], reverse=down)]


async def all_pages(
    postgres: Postgres, workspace: UUID, tree: Tree | None, sort: ProfileSort, limit: int
) -> list[UUID]:
    order, after, found = order_of(sort, Parameters(), "/sort"), None, []
    for _ in range(100):
        page = await finding.page(postgres, statements(workspace, tree, sort, after), limit + 1, 20)
        found += [row["id"] for row in page.rows[:limit]]
        if len(page.rows) <= limit:
            return found
        after = read_key(order, key_of(order, page.rows[limit - 1]))
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize(("bound", "window"), [(10_000, 50_000), (3, 1_000), (3, 5)])
@settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_pages_together_are_all_profiles_in_order_however_they_are_found(
    postgres: Postgres, infra: Settings, seed: int, bound: int, window: int
) -> None:
    samples, workspace = ProfileSamples(seed), uuid4()
    kept = [samples.profile() for _ in range(40)]
    for profile in kept:
        profile["traits"]["plan"] = samples.choice(("free", "free", "pro"))
    await profiles.write(infra, workspace, kept)
    trees: list[Tree | None] = [None, {"op": "eq", "field": "traits.plan", "value": "free"}]
    trees += [{"op": "matches", "field": "traits.plan", "value": "^f"}, samples.tree()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "BOUND", bound)
        patch.setattr(finding, "_WINDOW", window)
        for tree in trees:
            sort = ProfileSort(by=samples.choice(SORTS), order=samples.choice(("asc", "desc")))
            expected = [
                profile
                for profile in kept
                if tree is None or oracle.holds(tree, profile, as_of=AS_OF, timezone_name="UTC")
            ]
            found = await all_pages(postgres, workspace, tree, sort, limit=samples.choice((1, 7, 50)))
            assert found == ranked(expected, sort), (tree, sort)
            count = await finding.total(postgres, statements(workspace, tree, sort), 20, exact=True)
            assert count == (len(expected), True)
            bounded = await finding.total(postgres, statements(workspace, tree, sort), 20, exact=False)
            assert bounded == ((len(expected), True) if len(expected) <= bound else (bound, False))


@settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_words_are_found_in_the_traits_that_are_searched(postgres: Postgres, infra: Settings, seed: int) -> None:
    samples, workspace = ProfileSamples(seed), uuid4()
    kept = [samples.profile() for _ in range(80)]
    await profiles.write(infra, workspace, kept)
    for _ in range(20):
        text = samples.words()
        page = await finding.page(postgres, statements(workspace, None, ProfileSort(), text=text), 1_000, 20)
        expected = {p["id"] for p in kept if "\0" not in text and oracle.has_words(p, text, TRAITS)}
        assert {row["id"] for row in page.rows} == expected, text


async def test_profiles_that_come_and_go_between_pages_disturb_none_of_the_others(
    postgres: Postgres, infra: Settings
) -> None:
    samples, workspace = ProfileSamples(5), uuid4()
    kept = [samples.profile() for _ in range(30)]
    await profiles.write(infra, workspace, kept)
    sort = ProfileSort(by="first_seen_at", order="desc")
    order, after, found = order_of(sort, Parameters(), "/sort"), None, []
    gone: set[UUID] = set()
    while True:
        page = await finding.page(postgres, statements(workspace, None, sort, after), 5, 20)
        found += [row["id"] for row in page.rows[:4]]
        if len(page.rows) < 5:
            break
        after = read_key(order, key_of(order, page.rows[3]))
        await profiles.write(infra, workspace, [samples.profile()])
        left = [profile["id"] for profile in kept if profile["id"] not in gone]
        gone.add(samples.choice(left))
        await postgres.execute("DELETE FROM profiles WHERE id = ANY ($1::uuid[])", list(gone))
    assert len(found) == len(set(found))
    stayed = {profile["id"] for profile in kept} - gone
    assert [id_ for id_ in found if id_ in stayed] == [id_ for id_ in ranked(kept, sort) if id_ in stayed]
