"""Saved queries over HTTP: kept, found, versioned, deleted and had back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from contracts.operations import OPERATIONS
from services.query.saved.kinds import ANALYSES
from tests.api import Answer, Api

_DEFINITION = {"table": "track", "limit": 2, "from": "2026-01-01"}


def _query(name: str = "Orders", **changes: Any) -> dict[str, Any]:
    return {"name": name, "kind": "events", "definition": _DEFINITION} | changes


async def _save(api: Api, name: str = "Orders", **changes: Any) -> dict[str, Any]:
    answer = await api.call("/queries", _query(name, **changes))
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def _get(api: Api, path: str, **headers: str) -> Answer:
    return await api.call(path, method="GET", **headers)


async def _put(api: Api, id: str, body: Any, if_match: str | None) -> Answer:
    headers = {} if if_match is None else {"If-Match": if_match}
    return await api.call(f"/queries/{id}", body, method="PUT", **headers)


async def _delete(api: Api, id: str, if_match: str | None) -> Answer:
    headers = {} if if_match is None else {"If-Match": if_match}
    return await api.call(f"/queries/{id}", method="DELETE", **headers)


async def _names(api: Api, parameters: str = "") -> list[str]:
    answer = await _get(api, f"/queries?{parameters}")
    assert answer.status == 200, answer.body
    return [each["name"] for each in answer.json["data"]]


async def test_a_saved_query_is_what_was_saved_and_its_etag_its_version(api: Api) -> None:
    made = await api.call("/queries", _query(description="All of them", tags=["sales", "weekly"]))
    assert made.status == 200
    assert made.headers["ETag"] == '"1"'
    saved = made.json
    assert saved["definition"] == _DEFINITION
    assert (saved["name"], saved["description"], saved["tags"]) == ("Orders", "All of them", ["sales", "weekly"])
    assert (saved["version"], saved["created_by"], saved["deleted_at"]) == (1, "anonymous", None)
    assert saved["created_at"] == saved["updated_at"]
    got = await _get(api, f"/queries/{saved['id']}")
    assert got.json == saved
    assert got.headers["ETag"] == '"1"'


async def test_a_query_seen_before_is_a_304(api: Api) -> None:
    saved = await _save(api)
    assert (await _get(api, f"/queries/{saved['id']}", **{"If-None-Match": '"1"'})).status == 304
    assert (await _get(api, f"/queries/{saved['id']}", **{"If-None-Match": '"2"'})).status == 200


async def test_names_may_repeat(api: Api) -> None:
    first, second = await _save(api), await _save(api)
    assert first["id"] != second["id"]


async def test_a_change_makes_the_next_version_and_keeps_the_old_one(api: Api) -> None:
    saved = await _save(api, tags=["a"])
    changed = await _put(api, saved["id"], _query("Renamed", definition={"table": "page"}), '"1"')
    assert changed.status == 200
    assert changed.headers["ETag"] == '"2"'
    assert changed.json["tags"] == [], "all of it is replaced"
    assert changed.json["created_at"] == saved["created_at"] < changed.json["updated_at"]
    versions = (await _get(api, f"/queries/{saved['id']}/versions")).json
    assert [(each["version"], each["name"]) for each in versions["data"]] == [(2, "Renamed"), (1, "Orders")]
    assert versions["next_cursor"] is None
    assert [each["created_at"] for each in versions["data"]] == [changed.json["updated_at"], saved["updated_at"]]
    assert {each["created_by"] for each in versions["data"]} == {"anonymous"}
    old = (await _get(api, f"/queries/{saved['id']}/versions/1")).json
    assert (old["definition"], old["tags"]) == (_DEFINITION, ["a"])
    assert (await _get(api, f"/queries/{saved['id']}/versions/3")).status == 404


async def test_versions_come_in_pages(api: Api) -> None:
    saved = await _save(api)
    for version in range(1, 6):
        assert (await _put(api, saved["id"], _query(f"v{version + 1}"), f'"{version}"')).status == 200
    path, seen, cursor = f"/queries/{saved['id']}/versions?limit=2", [], ""
    while cursor is not None:
        page = (await _get(api, path + (f"&cursor={cursor}" if cursor else ""))).json
        seen += [each["version"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert seen == [6, 5, 4, 3, 2, 1]


async def test_an_old_version_can_be_made_the_newest(api: Api) -> None:
    saved = await _save(api, tags=["a"])
    await _put(api, saved["id"], _query("Renamed", kind="events", definition={"table": "page"}), '"1"')
    path = f"/queries/{saved['id']}/versions/1/restore"
    assert (await api.call(path)).status == 428
    assert (await api.call(path, **{"If-Match": '"1"'})).status == 412
    restored = await api.call(path, **{"If-Match": '"2"'})
    assert restored.status == 200
    assert restored.headers["ETag"] == '"3"'
    assert (restored.json["version"], restored.json["name"], restored.json["tags"]) == (3, "Orders", ["a"])
    assert restored.json["definition"] == _DEFINITION
    assert (await api.call(f"/queries/{saved['id']}/versions/9/restore", **{"If-Match": '"3"'})).status == 404


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        (None, 428),
        ('"1"', 412),
        ('"2"', 200),
        ('"2-gzip"', 200),
        ('W/"2"', 412),
        ('"1", "2"', 200),
        ('"1","x",W/"2"', 412),
        ("*", 200),
        ('"etag"', 412),
        ('"99999999999999999999"', 412),
        ('""', 412),
        ("2", 400),
        ("nonsense", 400),
        ('"2', 400),
    ],
)
async def test_if_match_must_name_the_newest_version(api: Api, if_match: str | None, status: int) -> None:
    saved = await _save(api)
    assert (await _put(api, saved["id"], _query("second"), '"1"')).status == 200
    changed = await _put(api, saved["id"], _query("third"), if_match)
    assert changed.status == status, changed.body
    now = (await _get(api, f"/queries/{saved['id']}")).json
    assert (now["name"], now["version"]) == (("third", 3) if status == 200 else ("second", 2))
    deleted = await _delete(api, saved["id"], if_match.replace("2", "3") if if_match and status == 200 else if_match)
    assert deleted.status == status, deleted.body


async def test_of_twenty_changes_of_one_version_exactly_one_is_made(api: Api) -> None:
    saved = await _save(api)
    for version in range(1, 4):
        answers = await asyncio.gather(
            *(_put(api, saved["id"], _query(f"{version}: {number}"), f'"{version}"') for number in range(20))
        )
        assert sorted(each.status for each in answers) == [200] + [412] * 19
        winner = next(each for each in answers if each.status == 200)
        now = await _get(api, f"/queries/{saved['id']}")
        assert now.json == winner.json
        assert now.json["version"] == version + 1
    versions = (await _get(api, f"/queries/{saved['id']}/versions")).json["data"]
    assert [each["version"] for each in versions] == [4, 3, 2, 1]


async def test_of_a_change_and_a_deletion_at_once_one_is_made(api: Api) -> None:
    for _ in range(5):
        saved = await _save(api)
        changed, deleted = await asyncio.gather(
            _put(api, saved["id"], _query("changed"), '"1"'), _delete(api, saved["id"], '"1"')
        )
        assert (changed.status, deleted.status) in ((200, 412), (404, 200))


async def test_deleting_is_for_now_and_can_be_taken_back(api: Api) -> None:
    saved = await _save(api)
    other = await _save(api, "Other")
    deleted = await _delete(api, saved["id"], '"1"')
    assert deleted.status == 200
    assert deleted.json["deleted_at"] is not None
    assert await _names(api) == ["Other"]
    listed = (await _get(api, "/queries?deleted=true")).json["data"]
    assert [(each["id"], each["deleted_at"]) for each in listed] == [(saved["id"], deleted.json["deleted_at"])]
    path = f"/queries/{saved['id']}"
    assert (await _get(api, path)).status == 404
    assert (await _get(api, f"{path}/versions")).status == 404
    assert (await _get(api, f"{path}/versions/1")).status == 404
    assert (await api.call(f"{path}/run")).status == 404
    assert (await _put(api, saved["id"], _query(), '"1"')).status == 404
    assert (await _delete(api, saved["id"], "*")).status == 404
    restored = await api.call(f"{path}/restore")
    assert (restored.status, restored.json) == (200, saved)
    assert restored.headers["ETag"] == '"1"'
    assert (await api.call(f"{path}/restore")).json == saved, "again, and nothing changes"
    assert (await _get(api, path)).json == saved
    assert sorted(await _names(api)) == ["Orders", "Other"]
    assert await _names(api, "deleted=true") == []
    assert (await _get(api, f"/queries/{other['id']}")).json == other


async def test_queries_are_found_by_part_of_their_texts_in_either_case(api: Api) -> None:
    await _save(api, "Café Straße", description="Weekly numbers", tags=["Growth team"])
    await _save(api, "Sales", description="for the café")
    await _save(api, "100%_done\\", tags=["x"])
    assert sorted(await _names(api, "search=CAF%C3%89")) == ["Café Straße", "Sales"]
    assert await _names(api, "search=cafe%CC%81%20s") == ["Café Straße"], "composed or not"
    assert await _names(api, "search=STRASSE") == ["Café Straße"]
    assert await _names(api, "search=wTH%20t") == ["Café Straße"]
    assert await _names(api, "search=WEEKLY") == ["Café Straße"]
    assert await _names(api, "search=%25_") == ["100%_done\\"], "no pattern, just text"
    assert await _names(api, "search=%5C") == ["100%_done\\"]
    assert await _names(api, "search=nothing") == []


async def test_queries_are_filtered_by_kind_and_tag(api: Api) -> None:
    await _save(api, "a", tags=["x", "y"])
    await _save(api, "b", tags=["y"])
    other = next(kind for kind in ANALYSES if kind != "events")
    assert await _names(api, "tag=x") == ["a"]
    assert sorted(await _names(api, "tag=y&kind=events")) == ["a", "b"]
    assert await _names(api, "tag=Y") == []
    assert await _names(api, f"kind={other}") == []
    refused = await _get(api, "/queries?kind=nonsense")
    assert refused.status == 400
    assert refused.json["errors"][0]["pointer"] == "/kind"


@pytest.mark.parametrize("sort", ["updated", "name"])
async def test_pages_hold_each_query_once_in_order(api: Api, sort: str) -> None:
    names = ["b", "a", "B", "Ä", "a", "c", "\uffff", "", "\U0001f600", "aa"]
    saved = [await _save(api, name or " x ") for name in names]
    changed = await _put(api, saved[0]["id"], _query("b2"), '"1"')
    saved = [*saved[1:], changed.json]
    path, seen, cursor, pages = f"/queries?sort={sort}&limit=3", [], "", 0
    while cursor is not None:
        page = (await _get(api, path + (f"&cursor={cursor}" if cursor else ""))).json
        seen += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
        pages += 1
    assert pages == 4
    if sort == "updated":
        assert seen == [each["id"] for each in reversed(saved)]
    else:
        by_id = {each["id"]: each["name"].casefold() for each in saved}
        assert [by_id[id_] for id_ in seen] == sorted(by_id.values())
        assert sorted(seen) == sorted(by_id)


async def test_a_name_that_grows_when_folded_still_has_a_cursor(api: Api) -> None:
    for number in range(3):
        await _save(api, "\ufdfa" * 199 + str(number))
    first = (await _get(api, "/queries?sort=name&limit=2")).json
    second = await _get(api, f"/queries?sort=name&limit=2&cursor={first['next_cursor']}")
    assert second.status == 200
    assert len({each["id"] for each in first["data"] + second.json["data"]}) == 3


async def test_another_workspace_sees_nothing_and_changes_nothing(api: Api) -> None:
    saved = await _save(api)
    await _delete(api, (gone := await _save(api, "gone"))["id"], "*")
    other = replace(api, workspace=uuid4())
    unknown = str(uuid4())
    for id_ in (saved["id"], gone["id"]):
        for method, path, body in (
            ("GET", "/queries/{}", None),
            ("PUT", "/queries/{}", _query("taken")),
            ("DELETE", "/queries/{}", None),
            ("GET", "/queries/{}/versions", None),
            ("GET", "/queries/{}/versions/1", None),
            ("POST", "/queries/{}/versions/1/restore", None),
            ("POST", "/queries/{}/restore", None),
            ("POST", "/queries/{}/run", {}),
        ):
            theirs = await other.call(path.format(id_), body, method=method, **{"If-Match": "*"})
            nobodys = await other.call(path.format(unknown), body, method=method, **{"If-Match": "*"})
            assert theirs.status == nobodys.status == 404
            assert theirs.body == nobodys.body, "nothing tells it from one that never was"
    assert await _names(other) == []
    assert (await _get(api, f"/queries/{saved['id']}")).json == saved


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (_query(kind="nonsense"), "/kind"),
        (_query(kind="catalog"), "/kind"),
        (_query(kind="events_actors"), "/kind"),
        (_query(kind=""), "/kind"),
        (_query(definition={"tabel": "track"}), "/definition"),
        (_query(definition={"table": "nope"}), "/definition/table"),
        (_query(definition={"limit": 0}), "/definition/limit"),
        (_query(definition={"limit": "5"}), "/definition/limit"),
        (_query(definition={"limit": 10**40}), "/definition/limit"),
        (_query(definition={"where": {"op": "eq", "field": "event"}}), "/definition/where"),
        (_query(definition={"cursor": "WzEsIj"}), "/definition/cursor"),
        (_query(definition=[]), "/definition"),
        (_query(definition=None), "/definition"),
        (_query(definition={"names": ["x" * 1000] * 300}), "/definition"),
        (_query(""), "/name"),
        (_query("  "), "/name"),
        (_query("x" * 201), "/name"),
        (_query("a\0b"), "/name"),
        (_query(description="\0"), "/description"),
        (_query(description="x" * 10_001), "/description"),
        (_query(tags=["a", "\0"]), "/tags/1"),
        (_query(tags=["a", "b", "a"]), "/tags/2"),
        (_query(tags=[" "]), "/tags/0"),
        (_query(tags=[""]), "/tags/0"),
        (_query(tags=["x" * 101]), "/tags/0"),
        (_query(tags=[str(number) for number in range(51)]), "/tags"),
        (_query(owner="me"), ""),
        ({"name": "x", "kind": "events"}, ""),
        ({"kind": "events", "definition": {}}, ""),
    ],
)
async def test_what_cannot_be_saved_is_a_400_that_names_the_field(api: Api, body: Any, pointer: str) -> None:
    saved = await _save(api)
    for answer in (await api.call("/queries", body), await _put(api, saved["id"], body, "*")):
        assert answer.status == 400, answer.body
        assert answer.json["errors"][0].get("pointer", "") == pointer, answer.body
    assert (await _get(api, f"/queries/{saved['id']}")).json == saved


async def test_an_unknown_kind_is_told_which_there_are(api: Api) -> None:
    answer = await api.call("/queries", _query(kind="catalog"))
    message = answer.json["errors"][0]["message"]
    for kind in ANALYSES:
        assert kind in message
    assert "events" in ANALYSES


@pytest.mark.parametrize("member", ["id", "if_match"])
async def test_what_the_path_or_if_match_says_is_not_said_in_the_body(api: Api, member: str) -> None:
    saved = await _save(api)
    said = {"id": saved["id"], "if_match": [1]}[member]
    answer = await _put(api, saved["id"], _query() | {member: said}, '"1"')
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, f"/{member}")
    answer = await api.call(f"/queries/{saved['id']}?{member}=1", method="DELETE", **{"If-Match": '"1"'})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, f"/{member}")


_PATHS = [
    ("GET", "/queries/{}"),
    ("PUT", "/queries/{}"),
    ("DELETE", "/queries/{}"),
    ("POST", "/queries/{}/run"),
    ("POST", "/queries/{}/restore"),
    ("GET", "/queries/{}/versions"),
    ("GET", "/queries/{}/versions/1"),
    ("POST", "/queries/{}/versions/1/restore"),
    ("GET", "/lists/{}"),
    ("GET", "/lists/{}/actors"),
    ("DELETE", "/lists/{}"),
]


@pytest.mark.parametrize(
    "id_", ["1", "nonsense", "%00", "%ff", "%ed%a0%80", "'", "a" * 5_000, "{}", "%2F", " "], ids=ascii
)
async def test_an_id_that_is_none_is_a_400_or_a_404(api: Api, id_: str) -> None:
    for method, path in _PATHS:
        body = _query() if method == "PUT" else None
        answer = await api.call(path.format(id_), body, method=method, **{"If-Match": "*"})
        assert answer.status in (400, 404, 405), (method, path, answer.body)


@pytest.mark.parametrize(
    "parameters",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "sort=size",
        "deleted=perhaps",
        "search=%00",
        "tag=%00",
        "kind=%00",
        "search=" + "x" * 201,
        "search=a&search=b",
        "unknown=1",
        "cursor=nonsense",
        "cursor=" + "x" * 5_000,
    ],
)
async def test_parameters_that_cannot_be_are_a_400(api: Api, parameters: str) -> None:
    answer = await _get(api, f"/queries?{parameters}")
    assert answer.status == 400, answer.body


@pytest.mark.parametrize("search", ["%ff", "%ed%a0%80", "%F0%9F%98%80", "%1f", "a%20%20", "%C3%9F"])
async def test_any_text_can_be_searched_for(api: Api, search: str) -> None:
    assert await _names(api, f"search={search}") == []


async def test_a_cursor_of_another_request_is_a_400(api: Api) -> None:
    for name in "abc":
        await _save(api, name)
    cursor = (await _get(api, "/queries?limit=1&sort=name")).json["next_cursor"]
    assert (await _get(api, f"/queries?limit=2&sort=name&cursor={cursor}")).status == 200
    for parameters in ("limit=1&sort=updated", "limit=1&sort=name&search=a", "limit=1&sort=name&deleted=true"):
        assert (await _get(api, f"/queries?{parameters}&cursor={cursor}")).status == 400
    elsewhere = replace(api, workspace=uuid4())
    assert (await _get(elsewhere, f"/queries?limit=1&sort=name&cursor={cursor}")).status == 400


async def test_characters_of_every_kind_come_back_as_they_were(api: Api) -> None:
    definition = {"where": {"op": "eq", "field": "properties.a\u2028b", "value": 'nul \0 quote " \\ \U0001f600 \x7f'}}
    saved = await _save(
        api, "\u202e\U0001f469\u200d\U0001f680 \x01", definition=definition, tags=["\t", "\U0001f600"][1:]
    )
    got = (await _get(api, f"/queries/{saved['id']}")).json
    assert got["definition"] == definition
    assert got["name"] == "\u202e\U0001f469\u200d\U0001f680 \x01"


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\xff"}',
        b'{"definition": {"names": ["\xff"]}}',
        b'{"definition": {"names": ["\\ud800"]}}',
        b'{"definition": {"limit": 1, "limit": 2}}',
        b'{"definition": {"limit": NaN}}',
        b'{"definition": ' + b'{"op":"not","item":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
        b"null",
        b"7",
        b'"text"',
        b"{",
        b"{}{}",
    ],
    ids=lambda body: ascii(body[:40]),
)
async def test_a_body_that_cannot_be_is_a_400_whatever_it_is_sent_to(api: Api, body: bytes) -> None:
    saved = await _save(api)
    for method, path in [("POST", "/queries"), ("POST", "/lists"), *_PATHS]:
        if method in ("POST", "PUT"):
            answer = await api.call(path.format(saved["id"]), body, method=method, **{"If-Match": '"1"'})
            assert answer.status == 400, (path, answer.body)
    assert (await _get(api, f"/queries/{saved['id']}")).json == saved


async def test_a_body_must_say_what_it_is_where_there_is_one(api: Api) -> None:
    saved = await _save(api)
    url, headers = f"{api.url}/queries/{saved['id']}/run", {"X-Workspace-Id": str(api.workspace)}
    for data, status in ((b"{}", 415), (b"", 200), (None, 200)):
        async with api.http.post(url, data=data, headers=headers, skip_auto_headers=["Content-Type"]) as answer:
            assert answer.status == status


def test_every_operation_on_a_saved_thing_is_tried_with_ids_that_are_none() -> None:
    prefixes = ("/queries/{id}", "/lists/{id}")
    there = {
        (each.method, each.path.replace("{id}", "{}").replace("{version}", "1"))
        for each in OPERATIONS
        if each.path.startswith(prefixes)
    }
    assert there == set(_PATHS)
