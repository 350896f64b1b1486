"""`POST /query/events` through the gateway, on small histories with known answers."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from uuid import uuid4

import aiohttp
import nats
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.operations import BY_ID
from tests.api import Api, stamp

DAY = 86_400_000
T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def event(number: int, **fields: Any) -> dict[str, Any]:
    base = {
        "table": "track",
        "message_id": f"m{number:05}",
        "anonymous_id": "a",
        "timestamp": T0 + number * 1000,
        "received_at": T0 + number * 1000 + 5,
        "event": "Viewed",
        "properties": {"n": number},
    }
    return base | fields


async def test_pages_keep_the_range_of_the_first_whatever_becomes_of_the_workspace(api: Api) -> None:
    await api.write(event(n, timestamp=T0 + n * DAY // 4) for n in range(8))
    clock = "2026-01-02T12:00:00.000500Z"  # the event of that millisecond is before it
    await api.call("/workspace", {"clock": clock}, method="PUT")
    body = {"from": "2026-01-01", "as_of": clock, "order": "oldest", "limit": 4, "columns": ["properties.n"]}
    first = (await api.call("/query/events", body)).json
    await api.call("/workspace", {"timezone": "Asia/Tokyo", "clock": "2025-01-01T00:00:00Z"}, method="PUT")
    rest = (await api.call("/query/events", body | {"cursor": first["next_cursor"]})).json
    assert [row["properties.n"] for row in first["data"] + rest["data"]] == list(range(7))
    relative = {"from": "-1d", "limit": 1, "columns": ["properties.n"]}
    await api.call("/workspace", {"clock": "2026-01-02T12:00:00Z"}, method="PUT")
    first = (await api.call("/query/events", relative)).json
    await api.call("/workspace", {"timezone": "Pacific/Auckland", "clock": "2025-01-01T00:00:00Z"}, method="PUT")
    last = (await api.call("/query/events", relative | {"limit": 9, "cursor": first["next_cursor"]})).json
    assert [row["properties.n"] for row in first["data"] + last["data"]] == [5, 4, 3, 2, 1, 0]


async def test_a_range_that_is_over_is_closed_for_an_answer_about_actors_until_events_arrive(api: Api) -> None:
    """A link outside the range may make other people of them."""
    over = {"from": "2026-01-01", "to": "2026-01-02"}
    actors = over | {"actors": [{"kind": "anonymous", "id": "a"}], "columns": ["message_id"]}
    connection = await nats.connect(api.settings.nats_url)
    for body, shortened in ((over, True), (actors, True), (over | {"columns": ["message_id"]}, False)):
        headers = {"Cdp-Workspace": str(api.workspace)}
        reply = await connection.request("cdp.query.v1.events", json.dumps(body).encode(), timeout=10, headers=headers)
        policy = json.loads((reply.headers or {})["Cdp-Cache"])
        assert policy["closed"] is True
        assert (policy["ttl_after_events"] is not None) is shortened
    await connection.close()


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_pages_of_several_tables_lose_no_row_where_all_have_one_time(api: Api, order: str) -> None:
    tables = ("track", "page", "identify")
    await api.write(event(0, message_id=f"m{n:02}", table=tables[n % 3]) for n in range(30))
    rows = await api.events(limit=2, order=order, columns=["message_id"])
    expected = [f"m{n:02}" for n in range(30)]
    assert [row["message_id"] for row in rows] == (expected[::-1] if order == "newest" else expected)


async def test_pages_have_no_gap_and_no_repeat_while_rows_arrive(api: Api) -> None:
    await api.write(event(n) for n in range(25))
    first = (await api.call("/query/events", {"limit": 10, "columns": ["message_id"]})).json
    await api.write([event(100), event(7, message_id="late")])  # newer than the page, and in the middle of what is left
    body = {"limit": 10, "columns": ["message_id"], "cursor": first["next_cursor"]}
    second = (await api.call("/query/events", body)).json
    body["cursor"] = second["next_cursor"]
    third = (await api.call("/query/events", body)).json
    ids = [row["message_id"] for page in (first, second, third) for row in page["data"]]
    expected = [f"m{n:05}" for n in range(24, 7, -1)] + ["m00007", "late"] + [f"m{n:05}" for n in range(6, -1, -1)]
    assert ids == expected
    assert third["next_cursor"] is None


async def test_a_duplicate_counts_once_and_the_earliest_received_wins(api: Api) -> None:
    await api.write([event(1, received_at=T0 + 9000, properties={"v": "second"})])
    await api.write([event(1, received_at=T0 + 8000, properties={"v": "first"})])
    await api.write([event(1, received_at=T0 + 9500, properties={"v": "third"})])
    rows = await api.events(columns=["properties.v"])
    assert rows == [{"properties.v": "first"}]
    losing = await api.events(columns=["properties.v"], where={"op": "eq", "field": "properties.v", "value": "third"})
    assert losing == []


async def test_equal_times_are_ordered_by_message_id_then_table(api: Api) -> None:
    same = {"timestamp": T0}
    await api.write(
        [
            event(1, message_id="b", **same),
            event(2, message_id="a", **same),
            event(3, message_id="b", table="page", name="Home", **same),
        ]
    )
    columns = ["message_id", "table"]
    oldest = [tuple(row.values()) for row in await api.events(columns=columns, order="oldest", limit=1)]
    assert oldest == [("a", "track"), ("b", "page"), ("b", "track")]
    newest = [tuple(row.values()) for row in await api.events(columns=columns, limit=2)]
    assert newest == oldest[::-1]


async def test_a_range_holds_its_start_and_not_its_end(api: Api) -> None:
    await api.write(event(n) for n in range(5))
    rows = await api.events(**{"from": stamp(T0 + 1000), "to": stamp(T0 + 3000), "columns": ["properties.n"]})
    assert [row["properties.n"] for row in rows] == [2, 1]


async def test_bare_dates_begin_at_midnight_of_the_time_zone(api: Api) -> None:
    await api.write([event(1, timestamp=T0 - 3_600_000), event(2, timestamp=T0 - 3_600_001)])
    rows = await api.events(**{"from": "2026-01-01", "timezone": "Europe/Berlin", "columns": ["message_id"]})
    assert [row["message_id"] for row in rows] == ["m00001"]


async def test_events_after_as_of_do_not_exist(api: Api) -> None:
    await api.write(event(n, timestamp=T0 + n * DAY) for n in range(4))
    rows = await api.events(as_of="2026-01-03T00:00:00Z", columns=["properties.n"])
    assert [row["properties.n"] for row in rows] == [1, 0]
    relative = await api.events(**{"as_of": "2026-01-03T12:00:00Z", "from": "-1d", "columns": ["properties.n"]})
    assert [row["properties.n"] for row in relative] == [2, 1]


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_every_stream_holds_the_whole_range_in_order_across_months(api: Api, order: str) -> None:
    events = [event(n, timestamp=T0 + n * DAY * 3) for n in range(60)]
    await api.write(events)
    body = {"columns": ["timestamp", "properties.n"], "order": order}
    expected = list(range(60))[:: 1 if order == "oldest" else -1]

    ndjson = (await api.call("/query/events", body, accept="application/x-ndjson")).body
    assert [json.loads(line)["properties.n"] for line in ndjson.splitlines()] == expected
    text = (await api.call("/query/events", body, accept="text/csv")).body.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["properties.n"]) for row in rows] == expected
    assert rows[0]["timestamp"] == stamp(events[expected[0]]["timestamp"])
    parquet = (await api.call("/query/events", body, accept="application/vnd.apache.parquet")).body
    table = pq.read_table(io.BytesIO(parquet))
    assert [int(value) for value in table["properties.n"].to_pylist()] == expected
    arrow = (await api.call("/query/events", body, accept="application/vnd.apache.arrow.stream")).body
    with pa.ipc.open_stream(arrow) as reader:
        assert [int(value) for value in reader.read_all()["properties.n"].to_pylist()] == expected


async def test_an_unordered_stream_holds_the_same_rows(api: Api) -> None:
    await api.write(event(n, timestamp=T0 + n * DAY * 10) for n in range(20))
    answer = await api.call(
        "/query/events", {"order": "unordered", "columns": ["properties.n"]}, accept="application/x-ndjson"
    )
    assert sorted(json.loads(line)["properties.n"] for line in answer.body.splitlines()) == list(range(20))
    refused = await api.call("/query/events", {"order": "unordered"})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (400, "/order")


async def test_a_stream_stops_at_its_limit(api: Api) -> None:
    await api.write(event(n, timestamp=T0 + n * DAY * 10) for n in range(20))
    for accept in ("application/x-ndjson", "text/csv", "application/vnd.apache.parquet"):
        answer = await api.call("/query/events", {"limit": 7, "columns": ["properties.n"]}, accept=accept)
        if accept.endswith("parquet"):
            assert pq.read_table(io.BytesIO(answer.body)).num_rows == 7
        else:
            assert len(answer.body.splitlines()) == 7 + (accept == "text/csv")


async def test_another_workspace_is_never_seen(api: Api) -> None:
    await api.write([event(1, properties={"secret": "canary"})])
    async with aiohttp.ClientSession() as http:
        other = Api(api.settings, api.url, uuid4(), http)
        await other.write([event(1, properties={"own": 1})])
        rows = await other.events(where={"op": "or", "items": [{"op": "exists", "field": "message_id"}]})
        assert [row["properties"] for row in rows] == [{"own": 1}]
        catalog = await other.call("/query/catalog", {"kind": "fields"})
        assert b"secret" not in catalog.body


@pytest.mark.parametrize("cursor", ["x", "", "!!!!", "W10", "WzEsImEiLDEsWzEsImEiLCJ0cmFjayJdXQ", "\u00e9"])
async def test_a_made_up_cursor_is_a_400_at_cursor(api: Api, cursor: str) -> None:
    answer = await api.call("/query/events", {"cursor": cursor})
    assert answer.status == 400
    assert answer.json["errors"][0]["pointer"] == "/cursor"


async def test_a_cursor_belongs_to_its_request_and_workspace(api: Api) -> None:
    await api.write(event(n) for n in range(5))
    cursor = (await api.call("/query/events", {"limit": 2})).json["next_cursor"]
    for body in ({"limit": 2, "order": "oldest"}, {"limit": 2, "table": "track"}):
        answer = await api.call("/query/events", body | {"cursor": cursor})
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/cursor")
    other = Api(api.settings, api.url, uuid4(), api.http)
    assert (await other.call("/query/events", {"limit": 2, "cursor": cursor})).status == 400
    assert (await api.call("/query/events", {"limit": 4, "cursor": cursor})).status == 200  # a page may change its size


async def test_an_actor_is_followed_through_links(api: Api) -> None:
    await api.write(
        [
            event(1, anonymous_id="phone"),
            event(2, anonymous_id="phone", user_id="ann"),
            event(3, anonymous_id="phone", user_id="bob"),
            event(4, anonymous_id="", user_id="ann"),
            event(5, anonymous_id="ann"),
        ]
    )
    columns = ["properties.n", "actor"]
    for actor in ({"kind": "user", "id": "ann"}, {"kind": "anonymous", "id": "phone"}):
        rows = await api.events(actors=[actor], columns=columns)
        assert [row["properties.n"] for row in rows] == [4, 2, 1]
        assert all(row["actor"] == {"kind": "user", "id": "ann"} for row in rows)
    rows = await api.events(actors=[{"kind": "anonymous", "id": "ann"}, {"kind": "user", "id": "bob"}], columns=columns)
    assert [(row["properties.n"], row["actor"]["kind"]) for row in rows] == [(5, "anonymous"), (3, "user")]


async def test_odd_names_are_data(api: Api) -> None:
    properties = {
        "a.b": 1,
        "with space": "x",
        'quo"te': True,
        "tick`": [1, 2],
        "ünï": {"k": "v"},
        "items": [{"sku": "s"}],
    }
    await api.write([event(1, properties=properties)])
    columns = [
        "properties.a.b",
        "properties.with space",
        'properties.quo"te',
        "properties.tick`",
        "properties.ünï",
        "properties.ünï.k",
        "properties.items[].sku",
        "properties.none",
    ]
    (row,) = await api.events(columns=columns)
    assert row == dict(zip(columns, [1, "x", True, [1, 2], {"k": "v"}, "v", ["s"], None], strict=True))


async def test_integers_javascript_cannot_hold_are_texts(api: Api) -> None:
    numbers = {"safe": 2**53 - 1, "wide": 2**53 + 1, "low": -(2**60), "text": "12345678901234567890", "in": [2**60]}
    await api.write([event(1, properties=numbers)])
    (row,) = await api.events(columns=["properties"])
    expected = {"safe": 2**53 - 1, "wide": str(2**53 + 1), "low": str(-(2**60)), "text": "12345678901234567890"}
    assert row["properties"] == expected | {"in": [str(2**60)]}


async def test_columns_of_other_tables_are_null(api: Api) -> None:
    await api.write([event(1), event(2, table="group", group_id="g", traits={"plan": "x"})])
    rows = await api.events(order="oldest", columns=["table", "event", "group_id", "traits.plan", "properties.n"])
    assert [list(row.values()) for row in rows] == [["track", "Viewed", None, None, 1], ["group", None, "g", "x", None]]


async def test_the_same_request_over_nats_gives_the_same_bytes(api: Api) -> None:
    await api.write(event(n) for n in range(5))
    body = json.dumps({"table": "track", "as_of": "2026-02-01T00:00:00Z"}).encode()
    http = await api.call("/query/events", body, **{"Cache-Control": "no-cache"})
    client = await nats.connect(api.settings.nats_url)
    try:
        reply = await client.request(
            BY_ID["query.events"].subject, body, timeout=10, headers={"Cdp-Workspace": str(api.workspace)}
        )
    finally:
        await client.close()
    # `meta` tells of the computation: these are two. Everything before it is the same to the byte.
    answer, meta = http.body.split(b',"meta":')
    assert reply.data.split(b',"meta":')[0] == answer
    assert json.loads(meta[:-1]).keys() == json.loads(reply.data)["meta"].keys()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": 10_001}, "/limit"),
        ({"limit": "5"}, "/limit"),
        ({"table": "orders"}, "/table"),
        ({"table": []}, "/table"),
        ({"from": "yesterday"}, "/from"),
        ({"from": "2026-02-30"}, "/from"),
        ({"to": "2026-01-01", "from": "2026-01-02"}, "/to"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"columns": []}, "/columns"),
        ({"columns": ["timestamp", "timestamp"]}, "/columns/1"),
        ({"columns": ["workspace_id"]}, "/columns/0"),
        ({"columns": ["traits.x"], "table": "track"}, "/columns/0"),
        ({"names": ["x"], "table": "identify"}, "/names"),
        ({"actors": [{"kind": "device", "id": "x"}]}, "/actors/0/kind"),
        ({"actors": [{"kind": "user", "id": ""}]}, "/actors/0/id"),
        ({"where": {"op": "eq", "field": "properties.x", "value": None}}, "/where/value"),
        ({"where": {"op": "like", "field": "event", "value": "x"}}, "/where/op"),
        ({"where": {"op": "gt", "field": "event", "value": "abc"}}, "/where/value"),
        ({"where": {"op": "matches", "field": "event", "value": "("}}, "/where/value"),
        ({"where": {"op": "not", "item": {"op": "eq", "field": "nope", "value": 1}}}, "/where/item/field"),
        ({"where": {"op": "eq", "field": "computed.ltv", "value": 1}}, "/where/field"),
        ({"where": {"op": "eq", "field": "segment", "value": "x"}}, "/where/field"),
        ({"where": {"op": "exists", "field": "profile.name"}}, "/where/field"),
        ({"where": {"op": "within_last", "field": "timestamp", "value": "7 days"}}, "/where/value"),
    ],
)
async def test_what_cannot_be_is_a_400_that_names_the_field(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.call("/query/events", body)
    assert answer.status == 400, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["errors"][0]["pointer"] == pointer


async def test_a_page_is_full_however_often_its_events_were_sent(api: Api) -> None:
    """More duplicates than the first look allows for, and losing rows that match where the winning ones do not."""
    for copy in range(7):
        await api.write(event(n, received_at=T0 + 90_000 - copy, properties={"n": n, "copy": copy}) for n in range(12))
    pages = []
    cursor = None
    for _ in range(3):
        body = {"limit": 4, "columns": ["properties.n", "properties.copy"]} | ({"cursor": cursor} if cursor else {})
        answer = (await api.call("/query/events", body)).json
        pages.append([tuple(row.values()) for row in answer["data"]])
        cursor = answer["next_cursor"]
    assert pages == [[(n, 6) for n in range(start, start - 4, -1)] for start in (11, 7, 3)]
    assert cursor is None
    losing = {"op": "lt", "field": "properties.copy", "value": 6}
    assert await api.events(where=losing, limit=2) == []


async def test_a_page_too_large_for_memory_is_refused_and_streams(api: Api) -> None:
    await api.write(event(n, properties={"text": "x" * 100_000}) for n in range(400))
    refused = await api.call("/query/events", {"limit": 400})
    assert (refused.status, refused.json["type"]) == (422, "urn:cdp:error:limit-exceeded")
    assert "stream" in refused.json["detail"]
    assert len((await api.call("/query/events", {"limit": 100})).json["data"]) == 100
    stream = await api.call("/query/events", {"columns": ["properties.text"]}, accept="application/x-ndjson")
    assert len(stream.body) > 40_000_000


async def test_a_key_named_twice_is_refused_over_nats_too(api: Api) -> None:
    client = await nats.connect(api.settings.nats_url)
    try:
        headers = {"Cdp-Workspace": str(api.workspace)}
        reply = await client.request("cdp.query.v1.events", b'{"limit":1,"limit":2}', timeout=10, headers=headers)
    finally:
        await client.close()
    assert reply.headers is not None
    assert reply.headers["Nats-Service-Error-Code"] == "400"
