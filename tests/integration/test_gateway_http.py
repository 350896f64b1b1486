"""The gateway as HTTP: what it refuses and how, negotiation, headers, CORS, its own pages."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jsonschema
import pytest

from contracts import headers as names
from contracts.base import encode
from contracts.errors import LimitExceeded, TooManyRequests
from contracts.operations import OPERATIONS
from tests.infra import EmbeddedServers
from tests.integration.gateway_support import (
    WORKSPACE,
    Responder,
    Served,
    nats_and_redis,
    responder,
    serving,
)


@pytest.fixture(scope="module")
def own_servers() -> Iterator[EmbeddedServers]:
    with nats_and_redis() as servers:
        yield servers


@pytest.fixture
async def services(own_servers: EmbeddedServers) -> AsyncIterator[Responder]:
    async with responder(own_servers.settings) as answering:
        yield answering


@pytest.fixture
async def served(own_servers: EmbeddedServers, services: Responder) -> AsyncIterator[Served]:
    async with serving(own_servers.settings, cors_origins="https://console.example", max_body_bytes=4096) as gateway:
        yield gateway


async def problem(response: Any) -> dict[str, Any]:
    """Return the problem a response is, after checking what every problem has."""
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = json.loads(await response.read())
    assert body["status"] == response.status
    assert body["type"].startswith("urn:cdp:error:") and body["title"]
    assert response.headers["X-Request-Id"]
    return body


def deep(levels: int) -> bytes:
    inner = b'{"op":"exists","field":"event"}'
    return b'{"where":' + b'{"op":"not","item":' * levels + inner + b"}" * levels + b"}"


BAD_BODIES = {
    "nothing": b"",
    "not json": b"{",
    "an array": b"[]",
    "null": b"null",
    "trailing garbage": b"{}x",
    "a second value": b"{}{}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "bad utf-8 in a string": b'{"names":["\xff"]}',
    "bad utf-8 in a key": b'{"\xff":1}',
    "an encoded surrogate": b'{"names":["\xed\xa0\x80"]}',
    "a lone surrogate": b'{"names":["\\ud800"]}',
    "nan": b'{"limit":NaN}',
    "infinity": b'{"where":{"op":"gt","field":"event","value":Infinity}}',
    "a number out of range": b'{"where":{"op":"gt","field":"event","value":1e999}}',
    "a duplicate key": b'{"limit":1,"limit":1}',
    "a duplicate key deep down": b'{"where":{"op":"eq","field":"a","field":"b","value":1}}',
    "an unknown field": b'{"colour":1}',
    "a wrong type": b'{"limit":"5"}',
    "out of bounds": b'{"limit":10001}',
    "an unknown tag": b'{"where":{"op":"like","field":"a","value":1}}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bad_body_is_a_400_that_reaches_no_service(served: Served, services: Responder, name: str) -> None:
    async with served.ask(BAD_BODIES[name]) as response:
        assert response.status == 400
        body = await problem(response)
    assert body["errors"] and body["errors"][0]["message"]
    assert services.calls == 0


async def test_bad_field_is_named_by_its_json_pointer(served: Served) -> None:
    where = {"op": "and", "items": [{"op": "exists", "field": "a"}, {"op": "eq", "field": "", "value": 1}]}
    async with served.ask({"where": where}) as response:
        assert [error["pointer"] for error in (await problem(response))["errors"]] == ["/where/items/1/field"]


async def test_five_thousand_nested_nots_are_a_400(own_servers: EmbeddedServers, services: Responder) -> None:
    async with serving(own_servers.settings) as gateway, gateway.ask(deep(5_000)) as response:
        assert response.status == 400
        await problem(response)


async def test_a_number_of_five_thousand_digits_is_a_400(own_servers: EmbeddedServers, services: Responder) -> None:
    body = b'{"where":{"op":"gt","field":"a","value":' + b"9" * 5_000 + b"}}"
    async with serving(own_servers.settings) as gateway, gateway.ask(body) as response:
        assert response.status == 400


async def test_body_over_the_limit_is_a_413_declared_or_chunked(served: Served) -> None:
    big = b'{"names":["' + b"a" * 5_000 + b'"]}'
    async with served.ask(big) as response:
        assert response.status == 413
        await problem(response)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1_000):
            yield big[start : start + 1_000]

    headers = {"X-Workspace-Id": WORKSPACE, "Content-Type": "application/json"}
    async with served.session.post(served.url + "/query/events", data=chunks(), headers=headers) as response:
        assert response.status == 413


async def test_compressed_body_is_read_and_its_size_is_that_of_what_is_inside(served: Served) -> None:
    async with served.ask(gzip.compress(b'{"limit":7}'), Content_Encoding="gzip") as response:
        assert response.status == 200
    bomb = gzip.compress(b'{"names":["' + b"a" * 1_000_000 + b'"]}')
    assert len(bomb) < 4096
    async with served.ask(bomb, Content_Encoding="gzip") as response:
        assert response.status == 413


async def test_broken_compression_is_a_400(served: Served) -> None:
    async with served.ask(b"this is not gzip", Content_Encoding="gzip") as response:
        assert response.status == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/json; charset=latin-1"])
async def test_other_content_type_is_a_415(served: Served, content_type: str) -> None:
    async with served.ask(Content_Type=content_type) as response:
        assert response.status == 415
        await problem(response)


@pytest.mark.parametrize(("accept", "status"), [("*/*", 200), ("application/*", 200), ("text/html", 406), ("", 200)])
async def test_accept_chooses_or_is_a_406(served: Served, accept: str, status: int) -> None:
    async with served.ask(Accept=accept) as response:
        assert response.status == status


async def test_chosen_format_is_told_to_the_service(served: Served, services: Responder) -> None:
    async with served.ask(Accept="text/csv, application/json;q=0.5"):
        assert services.headers[-1][names.ACCEPT] == "csv"


@pytest.mark.parametrize("workspace", [None, "", "x", "{11111111-2222-3333-4444-555555555555}", "1111111122223333"])
async def test_workspace_must_be_a_uuid(served: Served, workspace: str | None) -> None:
    headers = {"Content-Type": "application/json"} | ({} if workspace is None else {"X-Workspace-Id": workspace})
    async with served.session.post(served.url + "/query/events", data=b"{}", headers=headers) as response:
        assert response.status == 400
        assert "UUID" in (await problem(response))["detail"]


async def test_service_gets_the_body_as_it_came_and_the_context(served: Served, services: Responder) -> None:
    body = b'{ "limit" : 5 }'
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with served.ask(body, X_Request_Id="mine-1", traceparent=trace) as response:
        assert response.headers["X-Request-Id"] == "mine-1"
    assert services.bodies == [body]
    sent = services.headers[0]
    assert (sent[names.WORKSPACE], sent[names.REQUEST_ID], sent[names.TRACEPARENT]) == (
        served.workspace,
        "mine-1",
        trace,
    )
    assert 0 < int(sent[names.TIMEOUT]) <= 30_000


async def test_a_body_that_never_ends_is_refused_in_time(own_servers: EmbeddedServers, services: Responder) -> None:
    async with serving(own_servers.settings, request_timeout_seconds=0.3) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head = f"POST /query/events HTTP/1.1\r\nHost: x\r\nX-Workspace-Id: {served.workspace}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode())
        async with asyncio.timeout(5):
            assert (await reader.readline()).split()[1] == b"400"
        writer.close()


@pytest.mark.parametrize("given", ["zz-zz", "\u00ff\u00fe", "00-" + "0" * 4_000])
async def test_what_is_no_trace_is_not_passed_on(served: Served, services: Responder, given: str) -> None:
    async with served.ask(traceparent=given) as response:
        assert response.status == 200
    assert names.TRACEPARENT not in services.headers[0]


@pytest.mark.parametrize("given", ["two words", "x" * 200, "a\tb"])
async def test_odd_request_id_is_replaced(served: Served, given: str) -> None:
    async with served.ask(X_Request_Id=given) as response:
        assert response.headers["X-Request-Id"] not in ("", given)


async def test_unknown_path_is_a_404_and_wrong_method_a_405(served: Served) -> None:
    async with served.session.get(served.url + "/nowhere") as response:
        assert response.status == 404
        await problem(response)
    async with served.session.delete(served.url + "/workspace") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, PUT, OPTIONS"
        await problem(response)


async def test_get_reads_no_parameters_it_does_not_know(served: Served) -> None:
    headers = {"X-Workspace-Id": WORKSPACE}
    async with served.session.get(served.url + "/workspace?a=1", headers=headers) as response:
        assert response.status == 400
        assert "`a`" in (await problem(response))["errors"][0]["message"]
    async with served.session.get(served.url + "/workspace?a=1&a=2", headers=headers) as response:
        assert [error["pointer"] for error in (await problem(response))["errors"]] == ["/a"]


async def test_head_is_get_without_a_body(served: Served) -> None:
    async with served.session.head(served.url + "/workspace", headers={"X-Workspace-Id": WORKSPACE}) as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_expect_continue_is_answered_before_the_body(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"POST /query/events HTTP/1.1\r\nHost: x\r\nX-Workspace-Id: {WORKSPACE}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode())
    assert b"100 Continue" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.write(b"{}")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize(
    "sent", [b"NO HTTP\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n"]
)
async def test_what_is_no_http_is_a_problem_that_says_nothing_of_the_server(served: Served, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"application/problem+json" in answer and b"aiohttp" not in answer
    writer.close()


async def test_errors_of_services_come_through_with_their_headers(served: Served, services: Responder) -> None:
    services.respond = lambda message: services.fail(message, TooManyRequests("slow down", retry_after=1.2))
    async with served.ask() as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "2")
        assert (await problem(response))["detail"] == "slow down"
    services.respond = lambda message: services.fail(message, LimitExceeded("rows"))
    async with served.ask() as response:
        assert response.status == 422


async def test_fault_of_ours_is_a_500_that_says_only_the_request_id(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(served.gateway.answers, "answer", broken)
    async with served.ask(X_Request_Id="r-1") as response:
        assert response.status == 500
        body = await problem(response)
    assert body["detail"] == "request r-1"
    assert "secret" not in json.dumps(body)


async def test_etag_of_a_known_answer_is_a_304_whatever_its_coding(served: Served) -> None:
    async with served.ask() as response:
        etag = response.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*", etag[:-1] + '-gzip"'):
        async with served.ask(If_None_Match=known) as response:
            assert response.status == 304
            assert response.headers["ETag"] == etag
            assert await response.read() == b""
    async with served.ask(If_None_Match='"other"') as response:
        assert response.status == 200


async def test_large_answers_are_compressed_once_small_ones_never(served: Served, services: Responder) -> None:
    large = encode({"text": "word " * 2_000})
    services.respond = lambda message: services.reply(message, large)
    seen = set()
    for _ in range(2):
        async with served.ask(b"{}", Accept_Encoding="gzip") as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert int(response.headers["Content-Length"]) < len(large) / 5
            assert await response.read() == large
            seen.add(response.headers["ETag"])
    async with served.ask(b"{}", Accept_Encoding="identity") as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == large
        seen.add(response.headers["ETag"])
    assert len(seen) == 2, "each coding has its own strong validator"
    services.respond = services.count
    async with served.ask({"limit": 99}, Accept_Encoding="gzip") as response:
        assert "Content-Encoding" not in response.headers


async def test_cors_lets_the_named_origin_read_and_no_other(served: Served) -> None:
    async with served.ask(Origin="https://console.example") as response:
        assert response.headers["Access-Control-Allow-Origin"] == "https://console.example"
        assert "X-Cache" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.headers["Vary"]
    async with served.ask(Origin="https://other.example") as response:
        assert "Access-Control-Allow-Origin" not in response.headers
    preflight = {"Origin": "https://console.example", "Access-Control-Request-Method": "POST"}
    async with served.session.options(served.url + "/query/events", headers=preflight) as response:
        assert response.status == 204
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "X-Workspace-Id" in response.headers["Access-Control-Allow-Headers"]


async def test_error_answers_may_be_read_across_origins(served: Served) -> None:
    async with served.ask(b"{", Origin="https://console.example") as response:
        assert response.status == 400
        assert response.headers["Access-Control-Allow-Origin"] == "https://console.example"


async def test_ready_names_what_is_missing_and_health_does_not_care(served: Served) -> None:
    async with served.session.get(served.url + "/ready") as response:
        # The responder is no service of the fleet: it does not report its health.
        assert response.status == 503
        body = await response.json()
    assert body["nats"]["ready"] and body["redis"]["ready"] and not body["services"]["query"]["ready"]
    async with served.session.get(served.url + "/health") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_metrics_count_by_operation_status_and_cache(served: Served) -> None:
    async with served.ask({"limit": 17}), served.ask(b"{"):
        pass
    async with served.session.get(served.url + "/metrics") as response:
        text = await response.text()
    assert 'cdp_http_requests_total{cache="miss",operation="query.events",status="200"} 1.0' in text
    assert 'cdp_http_requests_total{cache="",operation="query.events",status="400"} 1.0' in text
    assert 'cdp_http_request_seconds_bucket{le="+Inf",operation="query.events"} 2.0' in text
    assert "cdp_cache_bytes" in text and "cdp_cache_redis_up 1.0" in text


async def test_access_log_has_one_json_line_a_request(
    served: Served, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", "cdp")
    async with served.ask(X_Request_Id="logged-1"):
        pass
    served.gateway.access.flush()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "logged-1" in line]
    assert len(lines) == 1
    assert lines[0]["operation"] == "query.events" and lines[0]["status"] == 200 and lines[0]["level"] == "info"


async def test_documents_are_served_and_the_page_needs_no_network(served: Served) -> None:
    async with served.session.get(served.url + "/openapi.json") as response:
        document = await response.json()
    assert {operation.path for operation in OPERATIONS} == set(document["paths"])
    async with served.session.get(served.url + "/asyncapi.json") as response:
        assert (await response.json())["asyncapi"] == "3.0.0"
    async with served.session.get(served.url + "/docs") as response:
        page = await response.text()
        assert response.content_type == "text/html"
    assert "http://" not in page and "https://" not in page and "src=" not in page


async def test_problems_obey_the_schema_of_the_document(served: Served) -> None:
    async with served.session.get(served.url + "/openapi.json") as response:
        components = (await response.json())["components"]
    schema = {"$ref": "#/components/schemas/Problem", "components": components}
    for body in (b"{", b'{"limit":0}', b"[]"):
        async with served.ask(body) as response:
            jsonschema.validate(await problem(response), schema)


async def test_what_computes_all_of_something_may_take_as_long_as_a_stream(
    own_servers: EmbeddedServers, services: Responder
) -> None:
    source = {"operation": "query.funnel_actors", "request": {}}
    services.delay = 1.0
    async with serving(own_servers.settings, request_timeout_seconds=0.5, stream_timeout_seconds=20.0) as one:
        async with one.ask({"name": "x", "source": source}, path="/lists") as response:
            assert response.status == 200
        async with one.ask() as response:
            assert response.status == 504
