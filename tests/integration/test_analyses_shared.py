"""What holds for every analysis alike, over HTTP: one computation for many askers, internal users, limits, refusals."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import msgspec
import nats
import pytest

from tests.api import Api
from tests.platform import Platform, free_port

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000
RANGE = {"from": "2026-01-01", "to": "2026-01-08", "as_of": "2026-01-10T00:00:00Z"}
A, B = {"names": ["a"]}, {"names": ["b"]}
BODIES: Mapping[str, dict[str, Any]] = {
    "funnel": {"steps": [A, B]},
    "retention": {"start": A, "return": B, "periods": 3},
    "session": {"table": "track"},
    "trends": {"series": [A | {"measure": "actors"}]},
    "paths": {"table": "track"},
    "lifecycle": {"series": [A], "period": "day"},
    "stickiness": {"series": [A], "period": "day"},
}
"""One request for each analysis."""
NUMBERS: Mapping[str, dict[str, Any]] = {
    "funnel": {"step": 1},
    "retention": {"row": "2026-01-01", "k": 0},
    "session": {},
    "trends": {},
    "paths": {"of": {"kind": "node", "position": 1, "name": "a"}},
    "lifecycle": {"period": "2026-01-01", "state": "new"},
    "stickiness": {"periods": 3},
}
"""A number of each answer, as its list of actors is asked for: everybody in the shop."""
SERIES = {
    "funnel": "/steps/0",
    "retention": "/start",
    "trends": "/series/0",
    "lifecycle": "/series/0",
    "stickiness": "/series/0",
}
"""Where the first series of those that have one stands."""


@pytest.fixture
async def shop(api: Api) -> Api:
    """People who do a, then b; one of them works here."""
    people = ("ann", "bob", "cy", "dee@shop.example")
    await api.write(
        {
            "table": "track",
            "message_id": f"{person}{number}",
            "user_id": person,
            "event": "ab"[number % 2],
            "timestamp": T0 + number * 7 * HOUR + place,
            "received_at": T0,
            "properties": {"n": number},
        }
        for place, person in enumerate(people)
        for number in range(12)
    )
    return api


@pytest.fixture
def second_gateway(platform: Platform) -> Iterator[str]:
    """Another gateway beside the platform's own."""
    beside = Platform(msgspec.structs.replace(platform.settings, api_port=free_port()), platform.logs)
    beside.start("gateway", "gateway.main")
    try:
        beside.wait_ready()
        yield beside.url
    finally:
        beside.stop("gateway")


async def computations(api: Api, operation: str) -> int:
    """Return how often the query services were asked for an operation."""
    connection = await nats.connect(api.settings.nats_url)
    try:
        stats = json.loads((await connection.request("$SRV.STATS.query", b"", timeout=5)).data)
    finally:
        await connection.close()
    return sum(each["num_requests"] for each in stats["endpoints"] if each["name"] == operation)


async def test_fifty_clients_of_two_gateways_cost_one_computation(shop: Api, second_gateway: str) -> None:
    other = dataclasses.replace(shop, url=second_gateway)
    body = BODIES["funnel"] | RANGE
    before = await computations(shop, "funnel")
    answers = await asyncio.gather(*((shop, other)[n % 2].call("/query/funnel", body) for n in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert await computations(shop, "funnel") - before == 1


@pytest.mark.parametrize("kind", BODIES)
async def test_internal_users_are_left_out_unless_asked_for(shop: Api, kind: str) -> None:
    async def ask(**more: Any) -> Any:
        answer = await shop.call(f"/query/{kind}", BODIES[kind] | RANGE | more)
        assert answer.status == 200, answer.body
        found = answer.json
        del found["meta"]
        return found

    everybody = await ask()
    internal = {"op": "ends_with", "field": "user_id", "value": "@shop.example"}
    without_dee = await ask(where={"op": "not", "item": internal})
    assert without_dee != everybody
    put = await shop.call("/workspace", {"internal_users": internal}, method="PUT")
    assert put.status == 200
    assert await ask() == without_dee
    assert await ask(include_internal=True) == everybody


@pytest.mark.parametrize("kind", BODIES)
async def test_a_limit_of_the_workspace_stops_an_analysis_and_says_so(shop: Api, kind: str) -> None:
    await shop.call("/workspace", {"limits": {"max_rows_to_read": 1}}, method="PUT")
    answer = await shop.call(f"/query/{kind}", BODIES[kind] | RANGE)
    assert answer.status == 422, answer.body
    assert "limits.max_rows_to_read" in answer.json["detail"]


@pytest.mark.parametrize("kind", BODIES)
async def test_answers_are_tables_too_and_count_what_they_read(shop: Api, kind: str) -> None:
    answer = await shop.call(f"/query/{kind}", BODIES[kind] | RANGE)
    assert answer.json["meta"]["rows_read"] > 0
    assert answer.json["meta"]["bytes_read"] > 0
    table = await shop.call(f"/query/{kind}", BODIES[kind] | RANGE, accept="text/csv")
    assert table.headers["Content-Type"] == "text/csv"
    header, *rows = csv.reader(io.StringIO(table.body.decode()))
    assert rows
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize("kind", BODIES)
async def test_lists_of_actors_come_page_by_page_and_as_a_table(shop: Api, kind: str) -> None:
    body: dict[str, Any] = {"query": BODIES[kind] | RANGE, "limit": 3, **NUMBERS[kind]}
    first = (await shop.call(f"/query/{kind}/actors", body)).json
    second = (await shop.call(f"/query/{kind}/actors", body | {"cursor": first["next_cursor"]})).json
    assert (first["total"], second["next_cursor"]) == (4, None)
    listed = first["data"] + second["data"]
    assert {entry["actor"]["id"] for entry in listed} == {"ann", "bob", "cy", "dee@shop.example"}
    table = await shop.call(f"/query/{kind}/actors", body, accept="text/csv")
    assert table.status == 200, table.body
    header, *rows = csv.reader(io.StringIO(table.body.decode()))
    assert header == ["kind", "id", "key"]
    assert rows == [[entry["actor"]["kind"], entry["actor"]["id"], ""] for entry in first["data"]]


@pytest.mark.parametrize("kind", BODIES)
async def test_the_same_request_over_nats_gives_the_same_answer(shop: Api, kind: str) -> None:
    body = BODIES[kind] | RANGE
    over_http = (await shop.call(f"/query/{kind}", body)).json
    connection = await nats.connect(shop.settings.nats_url)
    headers = {"Cdp-Workspace": str(shop.workspace)}
    reply = await connection.request(f"cdp.query.v1.{kind}", json.dumps(body).encode(), timeout=20, headers=headers)
    await connection.close()
    over_nats = json.loads(reply.data)
    assert over_nats.pop("meta").keys() == over_http.pop("meta").keys()
    assert over_nats == over_http


@pytest.mark.parametrize("kind", BODIES)
async def test_another_workspace_sees_nothing(shop: Api, kind: str) -> None:
    elsewhere = dataclasses.replace(shop, workspace=uuid4())
    mine = (await shop.call(f"/query/{kind}", BODIES[kind] | RANGE)).json
    theirs = (await elsewhere.call(f"/query/{kind}", BODIES[kind] | RANGE)).json
    await elsewhere.write([])
    nothing = (await dataclasses.replace(shop, workspace=uuid4()).call(f"/query/{kind}", BODIES[kind] | RANGE)).json
    for answer in (mine, theirs, nothing):
        del answer["meta"]
    assert theirs == nothing != mine


NESTED: dict[str, Any] = {"op": "exists", "field": "event"}
for _ in range(200):
    NESTED = {"op": "not", "item": NESTED}
IMPOSSIBLE: Mapping[str, tuple[dict[str, Any], str]] = {
    "a field that is none": ({"where": {"op": "exists", "field": "propertys.x"}}, "/where/field"),
    "a field of another table": ({"where": {"op": "exists", "field": "traits.plan"}}, "/where/field"),
    "an op that the field cannot bear": ({"where": {"op": "gt", "field": "timestamp", "value": 1}}, "/where/op"),
    "an op that is none": ({"where": {"op": "like", "field": "event", "value": "a"}}, "/where/op"),
    "a pattern that is none": ({"where": {"op": "matches", "field": "event", "value": "(("}}, "/where/value"),
    "a bomb of a pattern": ({"where": {"op": "matches", "field": "event", "value": "(a{1000}){1000}"}}, "/where/value"),
    "200 nots": ({"where": NESTED}, "/where" + "/item" * 100),
    "an end before the start": ({"from": "2026-02-01", "to": "2026-01-01"}, "/to"),
    "a start that is no time": ({"from": "soon"}, "/from"),
    "a time zone that is none": ({"timezone": "Mars/Base"}, "/timezone"),
    "a clock that is none": ({"as_of": "noon"}, "/as_of"),
    "a day weeks cannot begin with": ({"week_start": "friday"}, "/week_start"),
    "nobody to count": ({"analyse_by": "nobody"}, "/analyse_by"),
    "many to count": ({"analyse_by": "properties.products[].sku"}, "/analyse_by"),
}
"""Requests no analysis can answer, and the field at fault."""


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("case", IMPOSSIBLE)
async def test_what_cannot_be_is_refused_naming_the_field(api: Api, kind: str, case: str) -> None:
    fields, pointer = IMPOSSIBLE[case]
    answer = await api.call(f"/query/{kind}", BODIES[kind] | RANGE | fields)
    assert answer.status == 400, answer.body
    assert answer.json["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("kind", "fields", "pointer"),
    [
        ("funnel", {"steps": []}, "/steps"),
        ("funnel", {"steps": [A] * 21}, "/steps"),
        ("funnel", {"steps": [A, {}]}, "/steps/1/names"),
        ("funnel", {"window": 0}, "/window"),
        ("funnel", {"window": 366 * 86_400 + 1}, "/window"),
        ("funnel", {"steps": [A | {"optional": True}, B]}, "/steps/0/optional"),
        ("retention", {"periods": 0}, "/periods"),
        ("retention", {"periods": 181}, "/periods"),
        ("retention", {"period": "minute"}, "/period"),
        ("session", {"timeout": 0}, "/timeout"),
        ("trends", {"series": []}, "/series"),
        ("trends", {"series": [A] * 11}, "/series"),
        ("trends", {"interval": "year"}, "/interval"),
        ("trends", {"series": [A | {"measure": "sum"}]}, "/series/0/field"),
        ("trends", {"formula": "A +"}, "/formula"),
        ("trends", {"formula": "B"}, "/formula"),
        ("trends", {"interval": "minute", "from": "2020-01-01"}, "/interval"),
        ("lifecycle", {"period": "year"}, "/period"),
        ("stickiness", {"period": "year"}, "/period"),
    ],
)
async def test_an_analysis_refuses_what_it_cannot_do(api: Api, kind: str, fields: dict[str, Any], pointer: str) -> None:
    answer = await api.call(f"/query/{kind}", BODIES[kind] | RANGE | fields)
    assert answer.status == 400, answer.body
    assert answer.json["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("kind", SERIES)
async def test_a_series_that_cannot_be_is_refused_naming_the_part(api: Api, kind: str) -> None:
    at = SERIES[kind]
    for series, pointer in (
        ({"names": ["a"], "table": "identify"}, "/names"),
        ({"names": ["a"], "where": {"op": "exists", "field": "nothing"}}, "/where/field"),
        ({"names": ["a"], "having": {"op": "exists", "field": "event"}}, "/having"),
        ({"names": ["a"], "occurrence": "second"}, "/occurrence"),
        ({"names": ["a"], "table": "tracks"}, "/table"),
    ):
        body: dict[str, Any] = json.loads(json.dumps(BODIES[kind] | RANGE))
        name, _, index = at.strip("/").partition("/")
        if index:
            body[name][int(index)] = series
        else:
            body[name] = series
        answer = await api.call(f"/query/{kind}", body)
        assert answer.status == 400, answer.body
        assert answer.json["errors"][0]["pointer"] == at + pointer


async def test_a_megabyte_of_predicate_is_refused(api: Api) -> None:
    items = [{"op": "eq", "field": "properties.n", "value": f"{number:060}"} for number in range(10_000)]
    for kind, body in BODIES.items():
        answer = await api.call(f"/query/{kind}", body | RANGE | {"where": {"op": "or", "items": items}})
        assert answer.status == 413, kind
        fits = body | RANGE | {"where": {"op": "or", "items": items[:3_000]}}
        answer = await api.call(f"/query/{kind}", fits)
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/where/items"), kind
