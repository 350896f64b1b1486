"""Paths over HTTP: hand-made cases with known answers, lists of actors, refusals, CSV."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.analyses import ask, asked, everyone
from tests.api import Api
from tests.oracle.events import Event

START = 1_709_510_400_000  # Monday 2024-03-04, midnight
MINUTE = 60_000
RANGE = {"from": "2024-03-04", "to": "2024-03-08", "as_of": "2024-06-01"}
_numbers = count()


def visit(names: str, *, user: str = "u", minute: int = 0) -> list[Event]:
    """Events a minute apart, one for each letter; a capital is a page."""
    return [at(minute + place, name, user) for place, name in enumerate(names)]


def at(minute: float, name: str, user: str = "u", **changes: Any) -> Event:
    timestamp = START + round(minute * MINUTE)
    return {
        "table": "page" if name.isupper() else "track",
        "message_id": f"m{next(_numbers)}",
        "user_id": user,
        "anonymous_id": "",
        "timestamp": timestamp,
        "received_at": timestamp,
        "event": name,
        "name": name,
        "group_id": "",
        "properties": {},
        "traits": {},
        "context": {},
    } | changes


async def edges(api: Api, **body: Any) -> list[tuple[int, str, str, int]]:
    answer = await ask(api, api.workspace, "/query/paths", RANGE | body)
    return [(one["position"], one["from"], one["to"], one["count"]) for one in answer["edges"]]


async def nodes(api: Api, **body: Any) -> list[tuple[int, str, int, int | None]]:
    answer = await ask(api, api.workspace, "/query/paths", RANGE | body)
    return [(one["position"], one["name"], one["count"], one["dropped"]) for one in answer["nodes"]]


async def test_a_path_begins_with_the_session_and_equal_names_in_a_row_are_one_step(api: Api) -> None:
    await api.write(visit("aabBBa") + visit("ab", user="v") + visit("a", user="w"))
    assert await edges(api) == [(1, "a", "b", 2), (2, "b", "B", 1), (3, "B", "a", 1)]
    assert await nodes(api) == [(1, "a", 3, 1), (2, "b", 2, 1), (3, "B", 1, 0), (4, "a", 1, 1)]
    answer = await ask(api, api.workspace, "/query/paths", RANGE)
    assert (answer["sessions"], answer["actors"], answer["truncated"]) == (3, 3, False)
    assert [one["mean_seconds"] for one in answer["edges"]] == [90, 60, 120]


async def test_paths_do_not_cross_sessions_and_each_session_counts_once(api: Api) -> None:
    await api.write(visit("ab") + visit("ab", minute=60) + visit("abab", minute=120))
    assert (await edges(api))[0] == (1, "a", "b", 3)
    answer = await ask(api, api.workspace, "/query/paths", RANGE)
    assert (answer["sessions"], answer["actors"], answer["edges"][0]["actors"]) == (3, 1, 1)
    assert await edges(api, timeout=86_400, positions=3) == [(1, "a", "b", 1), (2, "b", "a", 1)]


async def test_an_anchored_path_begins_at_the_first_anchor(api: Api) -> None:
    await api.write(visit("xaybac") + visit("xy", user="v"))
    assert await edges(api, start="a", positions=3) == [(1, "a", "y", 1), (2, "y", "b", 1)]
    assert await nodes(api, start="a", positions=3) == [(1, "a", 1, 0), (2, "y", 1, 0), (3, "b", 1, None)]


async def test_an_anchored_path_ends_with_the_first_anchor(api: Api) -> None:
    await api.write(visit("xyabab") + visit("ab", user="v") + visit("b", user="w"))
    assert await edges(api, end="b", positions=3) == [(-1, "a", "b", 2), (-2, "y", "a", 1)]
    assert await nodes(api, end="b", positions=3) == [(-2, "y", 1, None), (-1, "a", 2, 1), (0, "b", 3, 1)]


async def test_what_is_left_out_does_not_separate_equal_names(api: Api) -> None:
    await api.write(visit("axab"))
    assert await edges(api, exclude=["x"]) == [(1, "a", "b", 1)]
    assert await edges(api, names=["a", "b"]) == [(1, "a", "b", 1)]
    assert await edges(api, where={"op": "neq", "field": "event", "value": "x"}) == [(1, "a", "b", 1)]


async def test_pages_are_named_by_path_or_any_field(api: Api) -> None:
    own = {"properties": {"path": "/own"}, "context": {"page": {"path": "/context", "title": "T"}}}
    await api.write([at(0, "P", **own), at(1, "P", context=own["context"]), at(2, "P"), at(3, "b")])
    assert await edges(api) == [(1, "P", "b", 1)]
    assert await edges(api, page="path") == [(1, "/own", "/context", 1), (2, "/context", "b", 1)]
    assert await edges(api, page="context.page.title") == [(1, "T", "b", 1)]
    assert await edges(api, page="path", start="/context") == [(1, "/context", "b", 1)]


async def test_equal_times_go_by_message_id(api: Api) -> None:
    await api.write([at(0, "b", message_id="2"), at(0, "a", message_id="1"), at(0, "C", message_id="3")])
    assert await edges(api) == [(1, "a", "b", 1), (2, "b", "C", 1)]


async def test_lists_are_those_of_the_number(api: Api) -> None:
    await api.write(visit("ab") + visit("a", user="v") + visit("ab", user="w") + visit("ab", user="w", minute=60))

    async def listed(of: dict[str, Any], **body: Any) -> list[str]:
        found = await everyone(api, api.workspace, "/query/paths/actors", {"query": RANGE | body, "of": of}, limit=1)
        return sorted(one["actor"]["id"] for one in found)

    edge = {"kind": "edge", "position": 1, "from": "a", "to": "b"}
    node = {"kind": "node", "position": 1, "name": "a"}
    assert await listed(edge) == ["u", "w"]
    assert await listed(edge, analyse_by="session") == ["u", "w", "w"]
    assert await listed(node) == ["u", "v", "w"]
    assert await listed(node | {"dropped": True}) == ["v"]
    assert await listed({"kind": "edge", "position": -1, "from": "a", "to": "b"}, end="b") == ["u", "w"]
    assert await listed({"kind": "node", "position": -1, "name": "a", "dropped": True}, end="b") == ["u", "w"]


async def test_the_rest_of_the_edges_is_said_to_be_there(api: Api) -> None:
    await api.write(visit("abc") + visit("ab", user="v"))
    answer = await ask(api, api.workspace, "/query/paths", RANGE | {"limit": 1})
    assert [one["to"] for one in answer["edges"]] == ["b"]
    assert answer["truncated"] is True
    assert [(one["name"], one["count"], one["dropped"]) for one in answer["nodes"]] == [("a", 2, 0), ("b", 2, 1)]


async def test_no_path_is_an_answer(api: Api) -> None:
    answer = await ask(api, api.workspace, "/query/paths", RANGE | {"start": "never"})
    assert answer | {"meta": None} == {
        "sessions": 0,
        "actors": 0,
        "nodes": [],
        "edges": [],
        "truncated": False,
        "meta": None,
    }


async def test_answers_come_as_csv(api: Api) -> None:
    await api.write(visit("ab"))
    answer = await asked(api, api.workspace, "/query/paths", RANGE, accept="text/csv")
    assert answer.body.decode().splitlines() == [
        "kind,position,name,to,count,actors,dropped,dropped_actors,mean_seconds",
        "node,1,a,,1,1,0,0,",
        "node,2,b,,1,1,1,1,",
        "edge,1,a,b,1,1,,,60.0",
    ]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {"positions": 1}, "/positions"),
        ("", {"positions": 11}, "/positions"),
        ("", {"start": "a", "end": "b"}, "/end"),
        ("", {"start": "a", "exclude": ["a"]}, "/start"),
        ("", {"end": "a", "names": ["b"]}, "/end"),
        ("", {"page": "event"}, "/page"),
        ("", {"track": "path"}, "/track"),
        ("", {"limit": 0}, "/limit"),
        ("", {"table": "identify", "analyse_by": "session"}, "/analyse_by"),
        ("", {"where": {"op": "matches", "field": "event", "value": "("}}, "/where/value"),
        ("/actors", {"query": RANGE, "of": {"kind": "edge", "position": 5, "from": "a", "to": "b"}}, "/of/position"),
        (
            "/actors",
            {"query": RANGE | {"end": "a"}, "of": {"kind": "node", "position": 1, "name": "a"}},
            "/of/position",
        ),
        (
            "/actors",
            {"query": RANGE | {"page": "x"}, "of": {"kind": "node", "position": 1, "name": "a"}},
            "/query/page",
        ),
    ],
)
async def test_what_cannot_be_is_refused_at_the_field(api: Api, path: str, body: dict[str, Any], pointer: str) -> None:
    answer = await asked(api, api.workspace, f"/query/paths{path}", body if path else RANGE | body)
    assert answer.status == 400, answer.body
    assert answer.json["errors"][0]["pointer"] == pointer
