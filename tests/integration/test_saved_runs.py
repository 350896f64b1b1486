"""Running saved queries: what the analysis answers, byte for byte, and dropped from the cache when it changes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import nats
import pytest
from nats.aio.client import Client as Connection

from contracts import headers as names
from contracts.errors import NotFound, PreconditionFailed, PreconditionRequired
from contracts.operation import MEDIA_TYPES
from contracts.operations import BY_ID
from contracts.queries import QueryCreate, QueryDelete, QueryGet, QueryReplace, QueryRun
from services.kit.client import Client
from services.query.saved.kinds import ANALYSES
from tests.api import Answer, Api
from tests.oracle.events import Event

_T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_HOUR = 3_600_000
_PINNED = {"from": "2026-01-01", "to": "2026-01-04", "as_of": "2026-01-05T00:00:00Z"}
_ORDERS = {"table": "track", "names": ["Order Completed"], "columns": ["message_id"], "order": "oldest", **_PINNED}
_EXAMPLES = [
    pytest.param(kind, example, id=f"{kind}: {name}")
    for kind, operation in ANALYSES.items()
    for name, example in operation.examples.items()
]


def _event(number: int) -> Event:
    event = ("Product Viewed", "Product Added", "Order Completed", "Signed Up")[number % 4]
    stamp = _T0 + number * _HOUR
    return {
        "table": "page" if number % 5 == 4 else "track",
        "message_id": f"m{number:03}",
        "user_id": f"u{number % 7}",
        "timestamp": stamp,
        "received_at": stamp,
        "event": event,
        "name": "Home",
        "properties": {"revenue": number, "price": 2.5, "path": "/"},
        "context": {"page": {"path": "/products"}, "locale": "de"},
    }


@pytest.fixture
async def shop(api: Api) -> Api:
    """A workspace with a hundred hours of events from 2026 on."""
    await api.write([_event(number) for number in range(100)])
    return api


@pytest.fixture
async def connection(api: Api) -> AsyncIterator[Connection]:
    opened = await nats.connect(api.settings.nats_url)
    yield opened
    await opened.close()


async def _save(api: Api, kind: str, definition: Any) -> str:
    answer = await api.call("/queries", {"name": "q", "kind": kind, "definition": definition})
    assert answer.status == 200, answer.body
    id_: str = answer.json["id"]
    return id_


async def _run(api: Api, id: str, body: Any = None, **headers: str) -> Answer:
    return await api.call(f"/queries/{id}/run", body, **headers)


async def _ids(api: Api, id: str, body: Any = None) -> list[str]:
    answer = await _run(api, id, body)
    assert answer.status == 200, answer.body
    return [row["message_id"] for row in answer.json["data"]]


def _settled(body: bytes) -> bytes:
    """Without what a second computation of the same may find different: its id, and what it had to read."""
    return re.sub(rb'"(query_id|rows_read|bytes_read)":("[0-9a-f-]+"|[0-9]+)', rb'"\1":0', body)


@pytest.mark.parametrize(("kind", "example"), _EXAMPLES)
async def test_a_run_answers_what_the_analysis_answers_in_each_of_its_formats(
    shop: Api, kind: str, example: dict[str, Any]
) -> None:
    pinned = {"as_of": _PINNED["as_of"]} if kind == "sql" else _PINNED
    definition = {**example, **pinned}
    id_ = await _save(shop, kind, definition)
    for format_ in ("json", "csv", "ndjson"):
        accept = MEDIA_TYPES[format_]
        run = await _run(shop, id_, {}, accept=accept)
        if format_ not in ANALYSES[kind].formats:
            assert run.status == 406, run.body
            continue
        asked = await shop.call(f"/query/{kind}", definition, accept=accept)
        assert (run.status, asked.status) == (200, 200), (run.body, asked.body)
        assert run.headers["Content-Type"] == asked.headers["Content-Type"]
        assert _settled(run.body) == _settled(asked.body)


async def test_a_run_needs_no_body(shop: Api) -> None:
    id_ = await _save(shop, "events", _ORDERS)
    url = f"{shop.url}/queries/{id_}/run"
    async with shop.http.post(url, headers={"X-Workspace-Id": str(shop.workspace)}) as answer:
        assert answer.status == 200
        assert [row["message_id"] for row in (await answer.json())["data"]] == await _ids(shop, id_)


async def test_a_run_may_have_another_range(shop: Api) -> None:
    id_ = await _save(shop, "events", _ORDERS)
    saved = await _ids(shop, id_)
    assert saved[0] == "m002"
    assert await _ids(shop, id_, {"to": "2026-01-01T03:00:00Z"}) == ["m002"]
    assert await _ids(shop, id_, {"from": "2026-01-03T22:00:00Z"}) == ["m070"]
    assert await _ids(shop, id_, {"from": "-2d", "as_of": "2026-01-02T12:00:00Z"}) == saved, "to is still the saved one"
    late = await _ids(shop, id_, {"to": None})
    assert late[: len(saved)] == saved and len(late) > len(saved), "null is nothing: up to as_of"
    assert await _ids(shop, id_, {"from": "2026-01-01", "to": "2026-01-01T03:00", "timezone": "Asia/Tokyo"}) == []
    assert await _ids(shop, id_, {}) == saved, "nothing of it is kept"


async def test_the_pages_of_a_run_are_those_of_the_analysis(shop: Api) -> None:
    definition = {**_ORDERS, "limit": 4}
    id_ = await _save(shop, "events", definition)
    whole = await _ids(shop, await _save(shop, "events", _ORDERS))
    page = (await _run(shop, id_)).json
    asked = await shop.call("/query/events", definition)
    assert page["next_cursor"] == asked.json["next_cursor"]
    seen, cursor = [], None
    while True:
        page = (await _run(shop, id_, {"cursor": cursor} if cursor else {})).json
        seen += [row["message_id"] for row in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == whole
    refused = await _run(shop, id_, {"cursor": asked.json["next_cursor"], "to": "2026-01-03"})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (400, "/cursor")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"from": "yesterday"}, "/from"),
        ({"to": "2025-12-31"}, "/to"),
        ({"timezone": "Mars/Base"}, "/timezone"),
        ({"as_of": "x"}, "/as_of"),
        ({"as_of": 5}, "/as_of"),
        ({"cursor": "nonsense"}, "/cursor"),
        ({"limit": 5}, ""),
        ({"id": "x"}, "/id"),
    ],
)
async def test_a_run_that_cannot_be_names_the_field(shop: Api, body: Any, pointer: str) -> None:
    answer = await _run(shop, await _save(shop, "events", _ORDERS), body)
    assert answer.status == 400, answer.body
    assert answer.json["errors"][0].get("pointer", "") == pointer


async def test_what_is_wrong_with_the_definition_is_named_there(shop: Api) -> None:
    definition = {**_ORDERS, "where": {"op": "eq", "field": "nothing.like.it", "value": 1}, "to": "2025-12-31"}
    id_ = await _save(shop, "events", definition)
    answer = await _run(shop, id_)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/definition/to")
    answer = await _run(shop, id_, {"to": "2026-01-04"})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/definition/where/field")


async def test_kinds_without_pages_take_no_cursor(shop: Api) -> None:
    kind = next(kind for kind, operation in ANALYSES.items() if "cursor" not in operation.request.__struct_fields__)
    id_ = await _save(shop, kind, {**next(iter(ANALYSES[kind].examples.values())), **_PINNED})
    answer = await _run(shop, id_, {"cursor": "x"})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/cursor")


async def test_a_statement_runs_with_its_parameters_or_those_of_the_run(shop: Api) -> None:
    definition = {
        "query": "SELECT {word:String}, {number:UInt8} + 1, toString(toDateTime(0)) AS clock",
        "parameters": {"word": "saved", "number": 1},
        "timezone": "Asia/Tokyo",
    }
    id_ = await _save(shop, "sql", definition)

    async def rows(body: Any) -> Any:
        run = await _run(shop, id_, body)
        assert run.status == 200, run.body
        assert run.headers["X-Cache"] == "miss", "never kept"
        return run.json["data"]

    for _ in range(2):
        assert await rows({}) == [["saved", 2, "1970-01-01 09:00:00"]]
    query_id = "11111111-2222-4333-8444-555555555555"
    assert await rows({"parameters": {"word": "said"}, "timezone": "UTC"}) == [["said", 2, "1970-01-01 00:00:00"]]
    run = await _run(shop, id_, {"query_id": query_id, "parameters": {"number": 255}})
    assert (run.json["data"][0][1], run.json["meta"]["query_id"]) == (256, query_id)
    text = await _run(shop, id_, {}, accept="text/csv")
    assert text.body.splitlines()[1] == b'"saved",2,"1970-01-01 09:00:00"'
    changed = {"name": "q", "kind": "sql", "definition": {"query": "SELECT 2"}}
    assert (await shop.call(f"/queries/{id_}", changed, method="PUT", **{"If-Match": '"1"'})).status == 200
    assert await rows({}) == [[2]]
    (first, *_) = (await shop.call("/query/sql/history", method="GET")).json["data"]
    assert first["query"] == "SELECT 2"


async def test_a_statement_takes_no_range_and_no_pages(shop: Api) -> None:
    id_ = await _save(shop, "sql", {"query": "SELECT {a:UInt8}", "parameters": {"a": 1}})
    for body, pointer in (
        ({"from": "-7d"}, "/from"),
        ({"to": "2026-01-01"}, "/to"),
        ({"cursor": "x"}, "/cursor"),
        ({"parameters": {"b": 1}}, "/parameters/b"),
        ({"parameters": []}, "/parameters"),
        ({"query": "SELECT 2"}, ""),
    ):
        run = await _run(shop, id_, body)
        assert (run.status, run.json["errors"][0].get("pointer", "")) == (400, pointer), run.body
    id_ = await _save(shop, "sql", {"query": "SELECT file('x')", "parameters": {"a": 1}})
    run = await _run(shop, id_)
    assert (run.status, run.json["errors"][0]["pointer"]) == (400, "/definition/query")
    events = await _save(shop, "events", _ORDERS)
    for body in ({"parameters": {"a": 1}}, {"query_id": "11111111-2222-4333-8444-555555555555"}):
        run = await _run(shop, events, body)
        assert (run.status, run.json["errors"][0]["pointer"]) == (400, f"/{next(iter(body))}"), run.body


async def test_a_run_is_cached_until_its_definition_changes(shop: Api) -> None:
    id_ = await _save(shop, "events", _ORDERS)
    other = await _save(shop, "events", _ORDERS)
    first, second = await _run(shop, id_), await _run(shop, id_)
    assert [each.headers["X-Cache"] for each in (first, second)] == ["miss", "hit"]
    assert first.body == second.body
    assert (await _run(shop, id_, {"to": "2026-01-02"})).headers["X-Cache"] == "miss", "another range"
    assert (await _run(shop, id_, b' { "to" : "2026-01-02" }')).headers["X-Cache"] == "hit", "the same, spelled anew"
    assert (await _run(shop, other)).headers["X-Cache"] == "miss", "another query"
    for version in range(1, 11):
        names_ = ["Signed Up" if version % 2 else "Order Completed"]
        body = {"name": "q", "kind": "events", "definition": {**_ORDERS, "names": names_}}
        changed = await shop.call(f"/queries/{id_}", body, method="PUT", **{"If-Match": f'"{version}"'})
        assert changed.status == 200
        run = await _run(shop, id_)
        assert run.headers["X-Cache"] == "miss"
        assert run.json["data"][0]["message_id"] == ("m003" if version % 2 else "m002")
        assert (await _run(shop, id_)).headers["X-Cache"] == "hit"
    restored = await shop.call(f"/queries/{id_}/versions/2/restore", **{"If-Match": '"11"'})
    assert restored.status == 200
    assert (await _run(shop, id_)).json["data"][0]["message_id"] == "m003"
    assert (await _run(shop, other)).headers["X-Cache"] == "hit", "the other's answer is still right"


async def test_a_deleted_query_is_not_answered_from_the_cache(shop: Api) -> None:
    id_ = await _save(shop, "events", _ORDERS)
    for _ in range(5):
        assert (await _run(shop, id_)).status == 200
        assert (await _run(shop, id_)).headers["X-Cache"] == "hit"
        assert (await shop.call(f"/queries/{id_}", method="DELETE", **{"If-Match": "*"})).status == 200
        assert (await _run(shop, id_)).status == 404
        assert (await shop.call(f"/queries/{id_}/restore")).status == 200


async def test_over_nats_the_version_is_a_header_and_the_precondition_a_field(
    shop: Api, connection: Connection
) -> None:
    async def ask(operation: str, body: Any) -> tuple[dict[str, str], Any]:
        headers = {names.WORKSPACE: str(shop.workspace), names.PRINCIPAL: "somebody"}
        subject = BY_ID[f"query.{operation}"].subject
        reply = await connection.request(subject, json.dumps(body).encode(), timeout=10, headers=headers)
        return reply.headers or {}, json.loads(reply.data)

    content = {"name": "q", "kind": "events", "definition": _ORDERS}
    headers, saved = await ask("queries_create", content)
    assert (headers[names.VERSION], saved["created_by"]) == ("1", "somebody")
    replaced = {**content, "id": saved["id"], "name": "new"}
    for known, status in (({}, 428), ({"if_match": [2]}, 412), ({"if_match": []}, 412), ({"if_match": "1"}, 400)):
        headers, problem = await ask("queries_replace", replaced | known)
        assert (headers["Nats-Service-Error-Code"], problem["status"]) == (str(status), status)
    headers, changed = await ask("queries_replace", replaced | {"if_match": [1]})
    assert (headers[names.VERSION], changed["name"]) == ("2", "new")
    _, run = await ask("queries_run", {"id": saved["id"], "to": "2026-01-02"})
    assert run["data"] == (await _run(shop, saved["id"], {"to": "2026-01-02"})).json["data"]
    _, page = await ask("queries_list", {"search": "NEW"})
    assert [each["id"] for each in page["data"]] == [saved["id"]]
    headers, problem = await ask("queries_list", {"search": "\0"})
    assert problem["status"] == 400
    _, deleted = await ask("queries_delete", {"id": saved["id"], "if_match": "*"})
    assert deleted["deleted_at"] is not None
    _, problem = await ask("queries_get", {"id": "none"})
    assert problem["errors"][0]["pointer"] == "/id"


async def test_the_typed_client_keeps_and_runs_queries(shop: Api, connection: Connection) -> None:
    async with Client(connection, shop.workspace) as client:
        content = QueryCreate(name="q", kind="events", definition=_ORDERS)
        saved = await client.call("query.queries_create", content)
        assert (await client.call("query.queries_get", QueryGet(id=saved.id))) == saved
        change = QueryReplace(id=saved.id, name="r", kind="events", definition=_ORDERS)
        with pytest.raises(PreconditionRequired):
            await client.call("query.queries_replace", change)
        with pytest.raises(PreconditionFailed, match="newest version is 1"):
            await client.call("query.queries_delete", QueryDelete(id=saved.id, if_match=(7,)))
        run = await client.call("query.queries_run", QueryRun(id=saved.id, to="2026-01-02"))
        assert run["data"][0] == {"message_id": "m002"}
        async with client.stream("query.queries_run", QueryRun(id=saved.id), format="ndjson") as reply:
            assert (await reply.read()).splitlines()[0] == b'{"message_id":"m002"}'
        await client.call("query.queries_delete", QueryDelete(id=saved.id, if_match=(1,)))
        with pytest.raises(NotFound):
            await client.call("query.queries_run", QueryRun(id=saved.id))
