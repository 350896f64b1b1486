"""Merging profiles and taking merges back, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from nats.aio.msg import Msg

from contracts import subjects
from contracts.base import decode
from contracts.durable import ProfileChanged
from contracts.errors import Conflict
from services.kit.settings import Settings
from services.profile.ids import profile_id
from services.profile.merging import store
from services.profile.merging.deciding import decide
from services.profile.merging.graph import Person
from services.profile.references import key_of
from services.profile.resources import Resources
from tests.api import Api
from tests.people import People, connected, event


@pytest.fixture
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with connected(infra) as found:
        yield found


@pytest.fixture
def people(api: Api, resources: Resources) -> People:
    return People(api, resources)


class _Unwanted(Exception):
    """Takes back what was done in a turn."""


def person(workspace: UUID, kind: Any, id: str) -> Person:
    return Person(key_of(workspace, kind, id), kind, id)


async def eventually(condition: Any, seconds: float = 12.0) -> None:
    """Wait until a coroutine function returns something true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


TWO = (
    event(1, user_id="ada", traits={"plan": "free", "email": "ada@example.com", "city": "Berlin"}),
    event(2, user_id="ada", anonymous_id="phone"),
    event(3, user_id="bob", traits={"plan": "pro", "email": "bob@example.com"}),
    event(4, anonymous_id="tablet"),
    event(5, user_id="bob", traits={}, traits_null=["city"]),
    event(6, user_id="bob", anonymous_id="tablet"),
)


async def test_a_merged_profile_has_what_both_had_and_every_id_finds_it(people: People) -> None:
    await people.write(*TWO)
    ada, bob = await people.get("user_id:ada"), await people.get("user_id:bob")
    counted = {"from": "2025-12-01", "to": "2026-02-01", "actors": [{"kind": "user", "id": "ada"}], "limit": 100}
    assert len((await people.api.call("/query/events", counted)).json["data"]) == 2
    answer = await people.post(ada["id"], "merge", other="user_id:bob")
    assert answer["changed"] is True
    assert answer["effects"] is None
    merged = answer["profile"]
    assert merged["id"] == ada["id"]
    assert merged["user_id"] == "ada"
    assert merged["anonymous_ids"] == ["phone", "tablet"]
    # Bob's identify was later, and unset a trait that Ada had set before.
    assert merged["traits"] == {"plan": "pro", "email": "bob@example.com"}
    assert (merged["first_seen_at"], merged["last_seen_at"]) == (ada["first_seen_at"], bob["last_seen_at"])
    for reference in (
        ada["id"],
        bob["id"],
        "user_id:bob",
        "user_id:ada",
        "anonymous_id:tablet",
        "email:bob@example.com",
    ):
        assert await people.get(reference) == merged
    assert answer["merge"]["winner"] == {"profile": ada["id"], "actor": {"kind": "user", "id": "ada"}}
    assert answer["merge"]["loser"] == {"profile": bob["id"], "actor": {"kind": "user", "id": "bob"}}
    # What analyses answered before was cached: they resolve people anew at once.
    assert len((await people.api.call("/query/events", counted)).json["data"]) == 6


async def test_a_merge_that_is_taken_back_leaves_both_as_they_were(people: People) -> None:
    await people.write(*TWO)
    before = [await people.get(f"user_id:{id_}") for id_ in ("ada", "bob")]
    for by in ("merge", "user", "profile"):
        merge = (await people.post("user_id:ada", "merge", other="anonymous_id:tablet"))["merge"]
        named = (
            {"merge": merge["id"]} if by == "merge" else {"other": "user_id:bob" if by == "user" else before[1]["id"]}
        )
        answer = await people.post("user_id:ada", "unmerge", **named)
        assert answer["changed"] is True
        assert [answer["winner"], answer["loser"]] == before
        assert answer["merge"]["undone_at"] is not None
        assert [await people.get(f"user_id:{id_}") for id_ in ("ada", "bob")] == before
        assert await people.get("anonymous_id:tablet") == before[1]
        again = await people.post("user_id:ada", "unmerge", merge=merge["id"])
        assert (again["changed"], again["merge"]) == (False, answer["merge"])


async def test_what_a_merge_would_change_is_what_it_then_changes(people: People) -> None:
    await people.write(*TWO, event(7, user_id="ada", traits={"tier": 1.0, "big": 1e300, "deep": {"a": [1, "x"]}}))
    ada, bob = await people.get("user_id:ada"), await people.get("user_id:bob")
    would = await people.post("user_id:ada", "merge", other="user_id:bob", dry_run=True)
    assert (would["changed"], would["merge"]) == (True, None)
    assert await people.get("user_id:ada") == ada
    assert await people.get("user_id:bob") == bob
    assert would["effects"] == {
        "traits": [
            {"name": "city", "before": "Berlin", "after": None},
            {"name": "email", "before": "ada@example.com", "after": "bob@example.com"},
            {"name": "plan", "before": "free", "after": "pro"},
        ],
        "ids": 2,
        "events": 4,
        "warnings": [
            {"kind": "two_users", "message": "each has a user id: 'ada' and 'bob'", "trait": None},
            {"kind": "different_trait", "message": "each has another 'email'", "trait": "email"},
        ],
    }
    assert (await people.post("user_id:ada", "merge", other="user_id:bob"))["profile"] == would["profile"]
    already = await people.post("user_id:ada", "merge", other="user_id:bob", dry_run=True)
    assert already["changed"] is False
    assert [warning["kind"] for warning in already["effects"]["warnings"]] == ["already_one"]


async def test_merging_again_changes_nothing_and_tells_of_the_merge_there_is(people: People) -> None:
    await people.write(*TWO)
    first = await people.post("user_id:ada", "merge", other="user_id:bob")
    again = await people.post("user_id:ada", "merge", other="user_id:bob")
    back = await people.post("user_id:bob", "merge", other="user_id:ada")
    assert (again["changed"], again["merge"], again["profile"]) == (False, first["merge"], first["profile"])
    assert (back["changed"], back["merge"], back["profile"]) == (False, None, first["profile"])
    listed = (await people.ask("user_id:ada", "/merges")).json["data"]
    assert [merge["id"] for merge in listed] == [first["merge"]["id"]]


async def test_chains_are_followed_and_undone_link_by_link(people: People) -> None:
    await people.write(*(event(number, user_id=id_) for number, id_ in enumerate("abcd")))
    alone = {id_: await people.get(f"user_id:{id_}") for id_ in "abcd"}
    await people.post("user_id:b", "merge", other="user_id:a")
    await people.post("user_id:c", "merge", other="user_id:b")
    await people.post("user_id:d", "merge", other="user_id:a")  # which is c's by now
    assert {(await people.get(f"user_id:{id_}"))["id"] for id_ in "abcd"} == {alone["d"]["id"]}
    closing = await people.post("user_id:a", "merge", other="user_id:d")
    assert closing["changed"] is False
    await people.post("user_id:d", "unmerge", other="user_id:b")
    assert (await people.get("user_id:a"))["id"] == (await people.get("user_id:b"))["id"] == alone["b"]["id"]
    assert (await people.get("user_id:c"))["id"] == (await people.get("user_id:d"))["id"] == alone["d"]["id"]
    await people.post("user_id:d", "unmerge", other="user_id:c")
    await people.post("user_id:b", "unmerge", other="user_id:a")
    assert {id_: await people.get(f"user_id:{id_}") for id_ in "abcd"} == alone


async def test_a_merge_of_an_anonymous_profile_beats_a_later_link_until_it_is_taken_back(people: People) -> None:
    await people.write(event(1, anonymous_id="tablet"), event(2, user_id="ada"))
    await people.post("user_id:ada", "merge", other="anonymous_id:tablet")
    await people.write(event(3, user_id="bob", anonymous_id="tablet"))
    assert (await people.get("anonymous_id:tablet"))["user_id"] == "ada"
    answer = await people.post("user_id:ada", "unmerge", other="anonymous_id:tablet")
    assert answer["winner"]["anonymous_ids"] == []
    assert answer["loser"] == await people.get("user_id:bob")
    assert answer["loser"]["anonymous_ids"] == ["tablet"]


async def test_merges_at_once_never_close_a_circle_nor_get_lost(people: People) -> None:
    await people.write(*(event(number, user_id=id_) for number, id_ in enumerate("abcd")))
    both = await asyncio.gather(
        people.post("user_id:a", "merge", other="user_id:b"), people.post("user_id:b", "merge", other="user_id:a")
    )
    assert sorted(answer["changed"] for answer in both) == [False, True]
    around = [("b", "a"), ("c", "b"), ("d", "c"), ("a", "d"), ("d", "c"), ("c", "a")]
    answers = await asyncio.gather(
        *(people.post(f"user_id:{winner}", "merge", other=f"user_id:{loser}") for winner, loser in around)
    )
    assert sum(answer["changed"] for answer in answers) == 2
    assert len({(await people.get(f"user_id:{id_}"))["id"] for id_ in "abcd"}) == 1
    listed = (await people.ask("user_id:a", "/merges")).json["data"]
    assert len(listed) == 3
    same = [people.post("user_id:a", "unmerge", merge=listed[0]["id"]) for _ in range(4)]
    assert sum(answer["changed"] for answer in await asyncio.gather(*same)) == 1


async def test_a_merge_that_was_accepted_is_applied_by_whoever_comes_next(people: People, resources: Resources) -> None:
    await people.write(*(event(number, user_id=id_) for number, id_ in enumerate("abcd")))
    workspace = people.api.workspace
    a, b, c, d = (person(workspace, "user", id_) for id_ in "abcd")
    async with store.turn(resources.postgres, workspace) as connection:  # and then the process dies
        await store.record(connection, workspace, a, b, "x")
    answer = await people.post("user_id:c", "merge", other="user_id:d")
    assert answer["profile"]["id"] == str(c.profile(workspace))
    assert (await people.get("user_id:b"))["id"] == str(a.profile(workspace))
    async with store.turn(resources.postgres, workspace) as connection:
        await store.undo(connection, workspace, UUID(answer["merge"]["id"]), "x")

    async def is_apart() -> bool:
        return bool((await people.get("user_id:d"))["id"] == str(d.profile(workspace)))

    await eventually(is_apart)


async def test_others_are_told_that_a_profile_was_merged_and_into_which(people: People, resources: Resources) -> None:
    await people.write(*TWO)
    ada, bob = (profile_id(people.api.workspace, "user", id_) for id_ in ("ada", "bob"))
    told: list[ProfileChanged] = []

    async def hear(message: Msg) -> None:
        told.append(decode(message.data, ProfileChanged))

    await resources.bus.connection.subscribe(subjects.profile_changed(people.api.workspace, bob), cb=hear)
    await people.post("user_id:ada", "merge", other="user_id:bob")
    await people.post("user_id:ada", "unmerge", other="user_id:bob")

    async def heard() -> bool:
        return [(each.change, each.into) for each in told][-2:] == [("merged", ada), ("created", None)]

    await eventually(heard)


async def test_merges_are_listed_newest_first_with_who_and_when_page_after_page(people: People) -> None:
    await people.write(*(event(number, user_id=id_) for number, id_ in enumerate("abcd")))
    made = [(await people.post("user_id:a", "merge", other=f"user_id:{id_}"))["merge"] for id_ in "bcd"]
    undone = (await people.post("user_id:a", "unmerge", other="user_id:c"))["merge"]
    expected = [made[2], undone, made[0]]
    listed, path = [], "/merges?limit=2"
    while path:
        page = (await people.ask("user_id:a", path)).json
        listed += page["data"]
        path = page["next_cursor"] and f"/merges?limit=2&cursor={page['next_cursor']}"
    assert listed == expected
    assert (await people.ask("user_id:c", "/merges")).json["data"] == [undone]
    assert all(merge["merged_by"] == made[0]["merged_by"] for merge in listed)


async def test_what_cannot_be_merged_says_why(people: People, resources: Resources) -> None:
    await people.write(*TWO)
    stranger = People(Api(people.api.settings, people.api.url, uuid4(), people.api.http), resources)
    await stranger.write(event(1, user_id="eve"))
    eve = (await stranger.get("user_id:eve"))["id"]
    merge = (await people.post("user_id:ada", "merge", other="user_id:bob"))["merge"]["id"]
    nobody = str(profile_id(people.api.workspace, "user", "nobody"))
    for reference, what, body, status in (
        ("user_id:ada", "merge", {"other": eve}, 404),
        ("user_id:ada", "merge", {"other": nobody}, 404),
        ("user_id:eve", "merge", {"other": "user_id:ada"}, 404),
        ("user_id:ada", "merge", {"other": "eve"}, 400),
        ("user_id:ada", "merge", {}, 400),
        ("user_id:ada", "merge", {"other": "user_id:bob", "dry_run": "yes"}, 400),
        ("user_id:ada", "unmerge", {}, 400),
        ("user_id:ada", "unmerge", {"other": "user_id:bob", "merge": merge}, 400),
        ("user_id:ada", "unmerge", {"merge": "x"}, 400),
        ("user_id:ada", "unmerge", {"merge": str(uuid4())}, 404),
        ("user_id:ada", "unmerge", {"other": "anonymous_id:phone"}, 404),
        ("user_id:ada", "unmerge", {"other": "user_id:nobody"}, 404),
    ):
        answer = await people.ask(reference, f"/{what}", body)
        assert answer.status == status, (reference, what, body, answer.body)
    refused = await people.ask("user_id:ada", "/merge", {"other": "eve"})
    assert [error["pointer"] for error in refused.json["errors"]] == ["/other"]
    assert (await stranger.ask("user_id:eve", "/unmerge", {"merge": merge})).status == 404
    assert (await stranger.ask("user_id:eve", "/merges")).json["data"] == []
    assert (await people.ask("user_id:ada", "/merges?cursor=x")).status == 400


async def test_merges_one_into_the_next_have_an_end(resources: Resources, workspace: UUID) -> None:
    other, *chain = (person(workspace, "user", f"u{number}") for number in range(store.DEEPEST + 2))
    with pytest.raises(_Unwanted):
        async with store.turn(resources.postgres, workspace) as connection:
            for loser, winner in pairwise(chain):
                await store.record(connection, workspace, winner, loser, "x")
            with pytest.raises(Conflict, match="the other way round"):
                await decide(connection, resources, workspace, other, chain[0])
            assert await decide(connection, resources, workspace, chain[0], other) == (chain[-1], other)
            raise _Unwanted
