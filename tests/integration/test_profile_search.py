"""Search, batch and export of profiles as their callers see them, over HTTP and NATS."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import nats
import pytest

from contracts import subjects
from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.predicates import Eq
from contracts.profile_search import ProfilesBatch, ProfileSearch, ProfilesExport
from services.kit.client import Client
from services.profile.ids import profile_id
from tests import profiles
from tests.api import Api

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def person(workspace: UUID, number: int, **traits: Any) -> dict[str, Any]:
    user = f"u{number}"
    return {
        "id": profile_id(workspace, "user", user),
        "user_id": user,
        "anonymous_ids": [f"a{number}"],
        "traits": {"email": f"{user}@example.com", **traits},
        "first_seen_at": NOW - timedelta(days=number),
        "last_seen_at": NOW - timedelta(hours=number),
    }


async def redirect(api: Api, own: UUID, to: UUID) -> None:
    connection = await asyncpg.connect(api.settings.postgres_url)
    await connection.execute(
        "INSERT INTO profile.identities VALUES ($1, $2, 'anonymous', $3, $4, $5, now(), now())",
        api.workspace,
        own.int % 2**62,
        str(own),
        own,
        to,
    )
    await connection.close()


async def search(api: Api, **body: Any) -> dict[str, Any]:
    answer = await api.call("/profiles/search", body)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture
async def kept(api: Api) -> list[dict[str, Any]]:
    """Thirty profiles of a workspace: the even ones are pro."""
    listed = [person(api.workspace, n, plan="pro" if n % 2 == 0 else "free", name=f"Ada {n}", age=n) for n in range(30)]
    await profiles.write(api.settings, api.workspace, listed)
    return listed


async def test_a_page_has_whole_profiles_or_the_columns_asked_for(api: Api, kept: list[dict[str, Any]]) -> None:
    page = await search(api, where={"op": "eq", "field": "traits.plan", "value": "pro"}, limit=2)
    assert page["total"] == 15
    assert page["total_exact"] is True
    first = kept[0]
    assert page["data"][0] == {
        "id": str(first["id"]),
        "user_id": "u0",
        "anonymous_ids": ["a0"],
        "traits": first["traits"],
        "first_seen_at": "2026-03-31T12:00:00Z",
        "last_seen_at": "2026-03-31T12:00:00Z",
    }
    page = await search(api, columns=["user_id", "traits.age", "traits.nothing"], limit=1, sort={"by": "traits.age"})
    assert page["data"] == [{"user_id": "u29", "traits.age": 29, "traits.nothing": None}]


async def test_pages_follow_each_other_and_keep_the_count_of_the_first(api: Api, kept: list[dict[str, Any]]) -> None:
    body = {"where": {"op": "eq", "field": "traits.plan", "value": "pro"}, "limit": 4, "columns": ["user_id"]}
    found, cursor, totals = [], None, set()
    while True:
        page = await search(api, **body, **({"cursor": cursor} if cursor else {}))
        found += [row["user_id"] for row in page["data"]]
        totals.add((page["total"], page["total_exact"]))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [f"u{n}" for n in range(0, 30, 2)]
    assert totals == {(15, True)}


async def test_a_count_is_not_made_when_it_is_not_asked_for(api: Api, kept: list[dict[str, Any]]) -> None:
    page = await search(api, limit=3, total="none")
    assert (page["total"], page["total_exact"]) == (None, False)


async def test_words_times_and_the_clock(api: Api, kept: list[dict[str, Any]]) -> None:
    page = await search(api, text="ADA 17", columns=["user_id"])
    assert page["data"] == [{"user_id": "u17"}]
    recent = {"op": "within_last", "field": "last_seen_at", "value": "3h"}
    page = await search(api, where=recent, as_of="2026-03-31T12:00:00Z", columns=["user_id"])
    assert [row["user_id"] for row in page["data"]] == ["u0", "u1", "u2", "u3"]


async def test_wide_integers_are_texts_in_every_answer(api: Api) -> None:
    wide = person(api.workspace, 1, count=2**53)
    await profiles.write(api.settings, api.workspace, [wide])
    assert (await search(api))["data"][0]["traits"]["count"] == str(2**53)
    assert (await api.call(f"/profiles/{wide['id']}", method="GET")).json["traits"]["count"] == str(2**53)


async def test_a_batch_tells_found_missing_and_ambiguous_apart(api: Api, kept: list[dict[str, Any]]) -> None:
    twin = person(api.workspace, 100) | {"traits": {"email": "u3@example.com"}}
    await profiles.write(api.settings, api.workspace, [twin])
    old = uuid4()
    await redirect(api, old, kept[1]["id"])
    ids = ["user_id:u2", "email:u4@example.com", "email:u3@example.com", "user_id:nobody", str(old), "user_id:u2"]
    answer = await api.call("/profiles/batch", {"ids": ids, "columns": ["user_id"]})
    assert answer.status == 200, answer.body
    assert answer.json == {
        "data": [
            {"ref": "user_id:u2", "profile": {"user_id": "u2"}},
            {"ref": "email:u4@example.com", "profile": {"user_id": "u4"}},
            {"ref": str(old), "profile": {"user_id": "u1"}},
        ],
        "missing": ["user_id:nobody"],
        "ambiguous": [
            {"ref": "email:u3@example.com", "ids": sorted([str(kept[3]["id"]), str(twin["id"])])},
        ],
    }


async def test_a_thousand_profiles_are_found_in_one_batch(api: Api) -> None:
    listed = [person(api.workspace, n) for n in range(1_000)]
    await profiles.write(api.settings, api.workspace, listed)
    ids = [f"user_id:u{n}" if n % 2 else f"email:u{n}@example.com" for n in range(1_000)]
    answer = await api.call("/profiles/batch", {"ids": ids, "columns": ["user_id"]})
    assert [one["profile"]["user_id"] for one in answer.json["data"]] == [f"u{n}" for n in range(1_000)]
    assert (await api.call("/profiles/batch", {"ids": [*ids, "user_id:x"]})).status == 400


async def test_an_export_is_all_that_a_search_finds(api: Api, kept: list[dict[str, Any]]) -> None:
    where = {
        "op": "and",
        "items": [
            {"op": "gt", "field": "traits.age", "value": 4},
            {"op": "matches", "field": "traits.name", "value": "[0-5]$"},
        ],
    }
    expected = (await search(api, where=where, limit=1_000))["data"]
    assert 0 < len(expected) < 30
    lines = await api.call("/profiles/export", {"where": where}, accept="application/x-ndjson")
    exported = [json.loads(line) for line in lines.body.splitlines()]
    assert sorted(exported, key=str) == sorted(expected, key=str)
    body = {"where": where, "columns": ["user_id", "traits.age", "last_seen_at", "anonymous_ids", "traits.no"]}
    sheet = await api.call("/profiles/export", body, accept="text/csv")
    rows = list(csv.reader(io.StringIO(sheet.body.decode())))
    assert rows[0] == body["columns"]
    assert sorted(rows[1:]) == sorted(
        [one["user_id"], str(one["traits"]["age"]), one["last_seen_at"], json.dumps(one["anonymous_ids"]), ""]
        for one in expected
    )
    assert (await api.call("/profiles/export", {}, accept="application/json")).status == 406


async def test_answers_are_kept_until_a_profile_changes_and_never_a_404(api: Api, kept: list[dict[str, Any]]) -> None:
    one, other = f"/profiles/{kept[0]['id']}", f"/profiles/{kept[1]['id']}"
    found = {"where": {"op": "eq", "field": "traits.plan", "value": "pro"}}

    async def seen() -> list[str]:
        answers = [await api.call(path, method="GET") for path in (one, other)]
        answers += [
            await api.call("/profiles/search", found),
            await api.call("/profiles/batch", {"ids": ["user_id:u0"]}),
        ]
        return [answer.headers["X-Cache"] for answer in answers]

    await seen()
    assert await seen() == ["hit", "hit", "hit", "hit"]
    late = person(api.workspace, 1_000)
    assert (await api.call("/profiles/user_id:u1000", method="GET")).status == 404
    await profiles.write(api.settings, api.workspace, [late])
    assert (await api.call("/profiles/user_id:u1000", method="GET")).status == 200
    connection = await nats.connect(api.settings.nats_url)
    foreign = CacheDrop(workspace_id=uuid4(), tags=("profiles", f"profile:{kept[0]['id']}"))
    await connection.publish(subjects.CACHE_DROP, encode(foreign))
    tags = tuple(f"profile:{kept[0]['id'] if n == 700 else uuid4()}" for n in range(1_500))
    await connection.flush()
    assert await seen() == ["hit", "hit", "hit", "hit"], "of another workspace"
    await connection.publish(
        subjects.CACHE_DROP, encode(CacheDrop(workspace_id=api.workspace, tags=("profiles", *tags)))
    )
    await connection.flush()
    missed: set[int] = set()
    for _ in range(50):
        missed |= {place for place, cache in enumerate(await seen()) if cache == "miss"}
        if missed >= {0, 2, 3}:
            break
    await connection.close()
    assert missed == {0, 2, 3}, "all but the profile that did not change"


async def test_another_workspace_sees_nothing_of_it(api: Api, kept: list[dict[str, Any]]) -> None:
    foreign = Api(api.settings, api.url, uuid4(), api.http)
    assert (await search(foreign))["data"] == []
    refs = [str(kept[0]["id"]), "user_id:u1", "email:u2@example.com"]
    answer = await foreign.call("/profiles/batch", {"ids": refs})
    assert (answer.json["data"], answer.json["missing"]) == ([], refs)
    exported = await foreign.call("/profiles/export", {}, accept="application/x-ndjson")
    assert exported.body == b""
    page = await search(api, limit=2)
    stolen = await foreign.call("/profiles/search", {"limit": 2, "cursor": page["next_cursor"]})
    assert (stolen.status, stolen.json["errors"][0]["pointer"]) == (400, "/cursor")


async def test_the_same_over_nats(api: Api, kept: list[dict[str, Any]]) -> None:
    connection = await nats.connect(api.settings.nats_url)
    where = Eq(field="traits.plan", value="pro")
    async with Client(connection, api.workspace) as client:
        page = await client.call("profile.search", ProfileSearch(where=where, columns=("user_id",)))
        assert page.total == 15
        found = await client.call("profile.batch", ProfilesBatch(ids=("user_id:u1",), columns=("user_id",)))
        assert found.data[0].profile == {"user_id": "u1"}
        async with client.stream("profile.export", ProfilesExport(where=where), format="ndjson") as reply:
            lines = b"".join([chunk async for chunk in reply.chunks()]).splitlines()
            assert len(lines) == 15
            assert reply.totals["rows"] == 15
    await connection.close()


def nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"op": "exists", "field": "traits.a"}
    for _ in range(depth):
        tree = {"op": "not", "item": tree}
    return tree


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no such field": ({"where": {"op": "eq", "field": "properties.a", "value": 1}}, "/where/field"),
    "a field of a service that is not there": (
        {"where": {"op": "and", "items": [{"op": "exists", "field": "computed.x"}]}},
        "/where/items/0/field",
    ),
    "a time as a number": ({"where": {"op": "gt", "field": "last_seen_at", "value": 1}}, "/where/op"),
    "no number": ({"where": {"op": "gt", "field": "traits.a", "value": "x"}}, "/where/value"),
    "no duration": ({"where": {"op": "within_last", "field": "traits.a", "value": "999999999m"}}, "/where/value"),
    "no pattern": ({"where": {"op": "matches", "field": "traits.a", "value": "("}}, "/where/value"),
    "a pattern of an element": (
        {"where": {"op": "any", "field": "traits.a", "where": {"op": "matches", "field": "b", "value": "x"}}},
        "/where/op",
    ),
    "nested too deep": ({"where": nested(150)}, "/where" + "/item" * 100),
    "too many nodes": (
        {"where": {"op": "and", "items": [{"op": "or", "items": [nested(0)] * 999}] * 2}},
        "/where/items/0/items/998",
    ),
    "no order": ({"sort": {"by": "traits.a[]"}}, "/sort/by"),
    "no column": ({"columns": ["id", "properties.a"]}, "/columns/1"),
    "a column twice": ({"columns": ["id", "id"]}, "/columns/1"),
    "no cursor": ({"cursor": "abc"}, "/cursor"),
    "no zone": ({"timezone": "Mars"}, "/timezone"),
    "no time": ({"as_of": "soon"}, "/as_of"),
    "too many": ({"limit": 1_001}, "/limit"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_cannot_be_is_refused_at_its_place(api: Api, case: str) -> None:
    body, pointer = BAD[case]
    answer = await api.call("/profiles/search", body)
    assert answer.status == 400, answer.body
    assert answer.json["errors"][0]["pointer"] == pointer


async def test_references_that_are_none_are_named(api: Api) -> None:
    answer = await api.call("/profiles/batch", {"ids": ["user_id:a", "phone:1"]})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/ids/1")


async def test_odd_but_valid_questions_are_answered(api: Api, kept: list[dict[str, Any]]) -> None:
    many = [str(n) for n in range(19_999)]
    for where in (
        {"op": "in", "field": "traits.plan", "value": [*many, "pro"]},
        {"op": "and", "items": [{"op": "eq", "field": "traits.plan", "value": "pro"}] * 900},
        nested(98),
        {"op": "eq", "field": "traits.a\0b", "value": "\0"},
        {"op": "eq", "field": "traits." + "a." * 400, "value": "'); DROP TABLE profiles; --"},
        {"op": "eq", "field": "user_id", "value": "$1::text"},
        {"op": "in", "field": "traits.plan", "value": []},
        {"op": "eq", "field": "id", "value": "not an id"},
    ):
        assert (await api.call("/profiles/search", {"where": where})).status == 200, str(where)[:100]
    assert (await search(api, where={"op": "in", "field": "traits.plan", "value": [*many, "pro"]}))["total"] == 15
    for text in ("", "   ", "%", "_", "\\", "\0", "a\u2028b", "'; DROP TABLE profiles"):
        assert (await api.call("/profiles/search", {"text": text})).status == 200, text


async def test_traits_nested_without_end_are_kept_and_searched(api: Api) -> None:
    deep: Any = "007"
    for _ in range(700):
        deep = [deep]
    shallow = person(api.workspace, 1, code="007", list=["x", "+7"])
    await profiles.write(api.settings, api.workspace, [person(api.workspace, 2, deep=deep), shallow])
    for field in ("traits.code", "traits.list[]"):
        page = await search(api, where={"op": "eq", "field": field, "value": 7}, columns=["user_id"])
        assert page["data"] == [{"user_id": "u1"}]
    inside = {"op": "eq", "field": "traits.deep" + "[]" * 400, "value": 7}
    assert (await api.call("/profiles/search", {"where": inside})).status in (200, 422)
    whole = await search(api, columns=["traits"])
    assert len(whole["data"]) == 2
    shown = await api.call("/profiles/search", {"where": {"op": "contains", "field": "traits.deep", "value": "007"}})
    assert shown.status in (200, 422)
