"""What no honest client sends, over HTTP and straight over NATS: each has its 4xx or is ignored, and nothing dies."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts import headers as names
from contracts import subjects
from contracts.operations import BY_ID, OPERATIONS
from services.kit.health import HEALTH, METRICS
from tests.api import Api

_EVENTS = BY_ID["query.events"].subject
_DEEP = b'{"where":' + b'{"op":"not","item":' * 5_000 + b'{"op":"exists","field":"event"}' + b"}" * 5_001
_MANY = [{"op": "eq", "field": "properties.price", "value": f"{number:012}"} for number in range(15_000)]
_LARGE = json.dumps({"where": {"op": "or", "items": _MANY}}).encode()
_VALUES = json.dumps({"where": {"op": "in", "field": "event", "value": ["x" * 90] * 10_500}}).encode()
_BODIES = {
    "bad UTF-8": b'{"table": "\xff\xfe"}',
    "a lone surrogate": b'{"names": ["\\ud800"]}',
    "half a surrogate pair in UTF-8": b'{"names": ["\xed\xa0\x80"]}',
    "UTF-16": '{"table": "any"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "cut off": b'{"table": "any"',
    "two values": b"{}{}",
    "a number": b"7",
    "null": b"null",
    "a list": b"[]",
    "NaN": b'{"limit": NaN}',
    "a number beyond all": b'{"limit": 1e999}',
    "an integer beyond all": b'{"limit": ' + b"9" * 5_000 + b"}",
    "an unknown field": b'{"tabel": "any"}',
    "5,000 nots": _DEEP,
    "100,000 brackets": b"[" * 100_000,
    "a null byte": b'{"table": "any\x00"}',
    "a column of 2,000 letters": b'{"columns": ["' + b"x" * 2_000 + b'"]}',
    "a regular expression that is none": b'{"where": {"op": "matches", "field": "event", "value": "(((((("}}',
    "a huge repetition": b'{"where": {"op": "matches", "field": "event", "value": "(a{1000}){1000}"}}',
    "SQL as a column": b'{"columns": ["event) FROM system.users --"]}',
    "a year beyond all": b'{"from": "99999-01-01"}',
    "a date before all": b'{"from": "0000-00-00"}',
    "a zone with a path": b'{"timezone": "../../etc/passwd"}',
    "a cursor of another shape": b'{"cursor": "bnVsbA"}',
}
"""By what they are; each is a 400 over HTTP and over NATS."""


@pytest.mark.parametrize("body", _BODIES.values(), ids=_BODIES.keys())
async def test_a_body_that_cannot_be_is_a_400(shop: Api, wire: Client, body: bytes) -> None:
    answer = await shop.call("/query/events", body)
    assert answer.status == 400, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["status"] == 400
    reply = await wire.request(_EVENTS, body, timeout=10, headers={names.WORKSPACE: str(shop.workspace)})
    assert json.loads(reply.data)["status"] == 400
    assert (reply.headers or {})["Nats-Service-Error-Code"] == "400"


@pytest.mark.parametrize("body", [b'{"limit": 1, "limit": 2}', b'{"where": {"op": "exists", "op": "eq"}}'])
async def test_a_key_given_twice_is_a_400(shop: Api, body: bytes) -> None:
    assert (await shop.call("/query/events", body)).status == 400


@pytest.mark.parametrize("body", [_LARGE, _VALUES], ids=["15,000 comparisons", "10,500 values"])
async def test_a_predicate_of_a_megabyte_is_a_413_over_http_and_no_500_over_nats(
    shop: Api, wire: Client, body: bytes
) -> None:
    assert 900_000 < len(body) < 1_200_000
    assert (await shop.call("/query/events", body)).status == 413
    fits = body if len(body) < 1_000_000 else json.dumps({"where": {"op": "or", "items": _MANY[:14_000]}}).encode()
    reply = await wire.request(_EVENTS, fits, timeout=30, headers={names.WORKSPACE: str(shop.workspace)})
    answer = json.loads(reply.data)
    assert answer.get("status") in (400, 413, 422) or answer["data"] == [], reply.data[:200]


async def test_a_predicate_just_below_the_limit_is_answered_or_refused(shop: Api) -> None:
    for items in (100, 1_000, 7_000):
        answer = await shop.call("/query/events", {"where": {"op": "or", "items": _MANY[:items]}})
        assert answer.status in (200, 400, 422), answer.body
        if answer.status == 200:
            assert answer.json["data"] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/xml"}, 415),
        ({"Content-Type": ";;;"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Accept": "image/png"}, 406),
        ({"Accept": "application/json;q=0"}, 406),
        ({"X-Workspace-Id": "none"}, 400),
        ({"X-Workspace-Id": "*"}, 400),
        ({"X-Workspace-Id": "a" * 4_000}, 400),
    ],
)
async def test_a_header_that_asks_for_the_impossible_has_its_4xx(
    shop: Api, headers: dict[str, str], status: int
) -> None:
    answer = await shop.call("/query/events", b"{}", **headers)
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    "body",
    [gzip.compress(_LARGE[:400_000])[:20_000], b"\x1f\x8b", b"not gzip at all", b""],
    ids=["truncated", "a head only", "none", "empty"],
)
async def test_a_broken_compression_is_a_400(shop: Api, body: bytes) -> None:
    answer = await shop.call("/query/events", body, **{"Content-Encoding": "gzip"})
    assert answer.status == 400, answer.body
    if body.startswith(b"not"):
        assert answer.headers["Connection"] == "close", "where a broken body ends is unknown"


async def test_a_compressed_body_that_grows_beyond_the_limit_is_a_413(shop: Api) -> None:
    bomb = gzip.compress(b" " * 200_000_000 + b"{}")
    assert len(bomb) < 500_000
    assert (await shop.call("/query/events", bomb, **{"Content-Encoding": "gzip"})).status == 413


_RAW = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n",
    "a header without a colon": b"POST /query/events HTTP/1.1\r\nHost: x\r\nNonsense\r\n\r\n",
    "a null byte in a header": b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\x00b\r\n\r\n",
    "a header of 100 KB": b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
    "a bad length": b"POST /query/events HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n{}",
    "two lengths": b"POST /query/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a bad chunk": b"POST /query/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"X-Workspace-Id: 00000000-0000-4000-8000-000000000001\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "an unknown method": b"EXPLODE /query/events HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path of bad bytes": b"GET /%ff%fe/\xc3\x28 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("data", _RAW.values(), ids=_RAW.keys())
async def test_bytes_that_are_hardly_http_are_a_4xx_or_a_closed_connection(shop: Api, data: bytes) -> None:
    where = urlsplit(shop.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(data)
    writer.write_eof()
    try:
        answer = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        answer = b""
    writer.close()
    assert not answer or answer.split(b" ", 2)[1][:1] == b"4", answer[:300]


async def test_paths_and_methods_that_do_not_exist_are_404_and_405(shop: Api) -> None:
    assert (await shop.call("/query/nothing", {})).status == 404
    assert (await shop.call("/query/events", method="DELETE")).status == 405
    assert (await shop.call("/../../etc/passwd", method="GET")).status == 404


async def test_requests_without_an_inbox_are_done_and_forgotten(shop: Api, wire: Client) -> None:
    for operation in OPERATIONS:
        for body in (b"{}", b"nonsense", b'{"limit": 1}'):
            await wire.publish(operation.subject, body, headers={names.WORKSPACE: str(shop.workspace)})
            await wire.publish(operation.subject, body)
    await _still_answers(shop)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {names.WORKSPACE: "none"},
        {names.WORKSPACE: "ok", names.TIMEOUT: "-5"},
        {names.WORKSPACE: "ok", names.TIMEOUT: "9" * 400},
        {names.WORKSPACE: "ok", names.TIMEOUT: "٣"},
        {names.WORKSPACE: "ok", names.NOW: "yesterday"},
        {names.WORKSPACE: "ok", names.NOW: "0001-01-01T00:00:00+14:00"},
        {names.WORKSPACE: "ok", names.ACCEPT: "pdf"},
    ],
)
async def test_a_header_over_nats_that_cannot_be_is_a_4xx(
    shop: Api, wire: Client, headers: dict[str, str] | None
) -> None:
    sent = {k: str(shop.workspace) if v == "ok" else v for k, v in headers.items()} if headers else None
    reply = await wire.request(_EVENTS, b"{}", timeout=10, headers=sent)
    assert json.loads(reply.data)["status"] in (400, 406), reply.data


async def test_odd_headers_over_nats_do_not_matter(shop: Api, wire: Client) -> None:
    odd = {
        names.WORKSPACE: str(shop.workspace),
        names.REQUEST_ID: "\u00e4\t" * 300,
        "traceparent": "zz-zz",
        "X": "\u2028",
    }
    reply = await wire.request(_EVENTS, b'{"limit": 1}', timeout=10, headers=odd)
    assert len(json.loads(reply.data)["data"]) == 1


async def test_garbage_on_control_subjects_is_ignored(shop: Api, wire: Client) -> None:
    instance = (await shop.call("/ready", method="GET")).json["services"]["query"]["replicas"][0]["instance"]
    credit = f"{subjects.PREFIX}.ctl.v1.credit.query.{instance}.1"
    garbage: list[bytes] = [
        b"",
        b"\xff\xfe",
        b"{}",
        b"null",
        b"[]",
        b"9" * 1_000,
        b"x" * 900_000,
        b'{"workspace_id": 7}',
    ]
    targets = [subjects.CANCEL, subjects.CACHE_DROP, credit, HEALTH, METRICS, "$SRV.PING", "$SRV.INFO.query"]
    for subject in targets:
        for body in garbage:
            await wire.publish(subject, body)
            await wire.publish(subject, body, reply=wire.new_inbox())
    await _still_answers(shop)
    async with shop.http.post(
        shop.url + "/query/events",
        json={"order": "unordered"},
        headers={"X-Workspace-Id": str(shop.workspace), "Accept": "application/x-ndjson"},
    ) as answer:
        assert len((await answer.read()).splitlines()) == 80


async def test_garbage_in_the_place_of_replies_harms_nobody_else(shop: Api, wire: Client) -> None:
    """Someone who answers in the services' place, and to everyone's inbox."""
    inboxes: list[str] = []

    async def overheard(message: Msg) -> None:
        inboxes.append(message.reply)
        for headers in (None, {names.FRAME: "x"}, {names.FRAME: "-1"}, {names.FRAME: "end"}, {names.FRAME: "7"}):
            await wire.publish(message.reply, b"\xff", headers=headers)

    # Not in the services' queue group: it hears every request and answers before them.
    spy = await wire.subscribe(_EVENTS, cb=overheard)
    await wire.flush()
    for accept in ("application/json", "application/x-ndjson"):
        await _ask(shop, accept)
    assert inboxes
    await spy.unsubscribe()
    await wire.flush()
    await _still_answers(shop)


async def _ask(api: Api, accept: str) -> None:
    headers = {"X-Workspace-Id": str(api.workspace), "Accept": accept, "Cache-Control": "no-cache"}
    async with api.http.post(api.url + "/query/events", json={"limit": 1}, headers=headers) as answer:
        await answer.content.readany()


async def _still_answers(api: Api) -> None:
    body = {"table": "track", "limit": 100, "columns": ["message_id"]}
    answer = await api.call("/query/events", body, **{"Cache-Control": "no-cache"})
    assert answer.status == 200
    assert len(answer.json["data"]) == 20


@pytest.fixture
async def wire(shop: Api) -> AsyncIterator[Client]:
    """A plain NATS connection."""
    connection: Any = await nats.connect(shop.settings.nats_url)
    yield connection
    await connection.close()
