"""Calling operations over a real NATS server: what comes back, and what happens when it does not."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from nats.aio.client import Client as Connection

from contracts import headers as names
from contracts import subjects
from contracts.base import encode
from contracts.caching import CachePolicy
from contracts.errors import (
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    NotAcceptable,
    NotFound,
    TooLarge,
    Unavailable,
)
from contracts.operation import Operation
from services.kit.client import Client
from services.kit.lifecycle import connect, end
from services.kit.rpc import Reply, RpcClient
from services.kit.settings import Settings
from services.kit.streaming import WHOLE_BYTES
from tests.integration import kit_probe as kit
from tests.integration.kit_probe import HEADERS, NatsServer, Probe, ProbeService, eventually, serving


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with kit.nats_server() as found:
        yield found


@pytest.fixture
def settings(server: NatsServer) -> Settings:
    return Settings(nats_url=server.url, query_concurrency=4)


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[Connection]:
    found = await connect(settings, "test")
    yield found
    await found.close()


@pytest.fixture
async def client(connection: Connection) -> AsyncIterator[RpcClient]:
    found = RpcClient(connection)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
async def probe(settings: Settings) -> AsyncIterator[ProbeService]:
    found = ProbeService()
    async with serving(found, settings):
        yield found


async def ask(client: RpcClient, operation: Operation, timeout: float = 5.0, **fields: object) -> Reply:
    return await client.call(operation, encode(fields), HEADERS, timeout)


async def test_an_answer_carries_its_type_and_the_request_id(client: RpcClient, probe: ProbeService) -> None:
    headers = {**HEADERS, names.REQUEST_ID: "r-1", names.PRINCIPAL: "key-7", names.NOW: "2026-01-02T03:04:05+00:00"}
    reply = await client.call(kit.ECHO, b'{"text":"gr\xc3\xbc\xc3\x9f"}', headers, 5)
    assert json.loads(reply.body or b"") == {"text": "grüß", "size": 0, "seconds": 0.0}
    assert reply.headers[names.CONTENT_TYPE] == "application/json"
    assert reply.headers[names.REQUEST_ID] == "r-1"
    assert reply.headers[names.NOW] == "2026-01-02T03:04:05+00:00"
    context = probe.contexts[-1]
    assert (context.workspace, context.request_id, context.principal) == (kit.WORKSPACE, "r-1", "key-7")
    assert 4 < context.remaining() <= 5
    assert context.stream
    assert context.format == "json"


async def test_an_empty_body_is_an_empty_object(client: RpcClient, probe: ProbeService) -> None:
    assert (await client.call(kit.ECHO, b"", HEADERS, 5)).body == b'{"text":"","size":0,"seconds":0.0}'


async def test_concurrent_calls_get_each_its_own_answer(client: RpcClient, probe: ProbeService) -> None:
    replies = await asyncio.gather(
        *(ask(client, kit.ECHO, text=str(number), size=number) for number in range(12)),
    )
    assert [json.loads(reply.body or b"")["size"] for reply in replies] == list(range(12))
    assert not client._calls


@pytest.mark.parametrize(
    ("body", "pointer"), [(b'{"size":"7"}', "/size"), (b'{"other":1}', ""), (b"{", ""), (b'{"text":"\xff"}', "")]
)
async def test_a_malformed_request_is_refused_with_the_place_of_the_fault(
    client: RpcClient, probe: ProbeService, body: bytes, pointer: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await client.call(kit.ECHO, body, HEADERS, 5)
    assert caught.value.errors[0].pointer == pointer


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, InvalidRequest),
        ({names.WORKSPACE: "mine"}, InvalidRequest),
        ({**HEADERS, names.NOW: "yesterday"}, InvalidRequest),
        ({**HEADERS, names.NOW: "9999-12-31T00:00:00Z"}, InvalidRequest),  # no time the store could compare with
        ({**HEADERS, names.ACCEPT: "parquet"}, NotAcceptable),
        ({**HEADERS, names.ACCEPT: "xml"}, NotAcceptable),
    ],
)
async def test_bad_headers_are_refused(
    client: RpcClient, probe: ProbeService, headers: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await client.call(kit.ECHO, b"{}", headers, 5)


async def test_a_bad_timeout_header_is_refused(connection: Connection, probe: ProbeService) -> None:
    reply = await connection.request(kit.ECHO.subject, b"{}", headers={**HEADERS, names.TIMEOUT: "-5"})
    assert (reply.headers or {})[names.ERROR_CODE] == "400"


async def test_what_a_handler_raises_arrives_as_the_same_error(client: RpcClient, probe: ProbeService) -> None:
    with pytest.raises(NotFound, match="no such thing") as caught:
        await ask(client, kit.FAIL)
    assert caught.value.retry_after == 7


async def test_an_error_reply_follows_the_nats_services_convention(connection: Connection, probe: ProbeService) -> None:
    reply = await connection.request(kit.FAIL.subject, b"{}", headers=HEADERS)
    assert reply.headers is not None
    assert reply.headers[names.ERROR] == "Not found"
    assert reply.headers[names.ERROR_CODE] == "404"
    assert reply.headers[names.RETRY_AFTER] == "7"
    assert json.loads(reply.data)["type"] == "urn:cdp:error:not-found"


async def test_a_crash_says_only_the_request_id_and_logs_the_rest(
    client: RpcClient, probe: ProbeService, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "cdp"), pytest.raises(Internal) as caught:
        await client.call(kit.CRASH, b"{}", {**HEADERS, names.REQUEST_ID: "r-2"}, 5)
    assert caught.value.detail == "request r-2"
    assert caplog.records[-1].exc_info is not None
    assert "SELECT secret" in str(caplog.records[-1].exc_info[1])


async def test_an_answer_up_to_the_limit_is_one_message(client: RpcClient, probe: ProbeService) -> None:
    reply = await ask(client, kit.BIG, size=WHOLE_BYTES)
    assert reply.body is not None
    assert len(reply.body) == WHOLE_BYTES
    assert CachePolicy.parse(reply.headers[names.CACHE]) == CachePolicy(ttl=5)


async def test_an_answer_over_the_limit_streams(client: RpcClient, probe: ProbeService) -> None:
    reply = await ask(client, kit.BIG, size=3_000_000)
    assert reply.body is None
    assert reply.headers[names.CACHE]
    assert await reply.read() == b"b" * 3_000_000
    assert reply.totals == {"frames": 12, "bytes": 3_000_000}


@pytest.mark.parametrize(("operation", "size"), [(kit.BIG, WHOLE_BYTES + 1), (kit.ROWS, 3)])
async def test_an_answer_over_the_limit_is_refused_to_a_caller_that_reads_no_frames(
    client: RpcClient, probe: ProbeService, operation: Operation, size: int
) -> None:
    with pytest.raises(TooLarge, match="page"):
        await client.call(operation, encode({"size": size}), HEADERS, 5, stream=False)


async def test_a_short_stream_is_one_message_to_a_caller_that_reads_no_frames(
    client: RpcClient, probe: ProbeService
) -> None:
    reply = await client.call(kit.ROWS, b'{"size":2}', HEADERS, 5, stream=False)
    assert reply.body == kit.BLOCK * 2


async def test_a_request_over_the_message_size_is_refused_at_once(client: RpcClient, probe: ProbeService) -> None:
    with pytest.raises(TooLarge):
        await client.call(kit.ECHO, b" " * 2_000_000, HEADERS, 5)


async def test_reading_stops_at_the_limit_the_caller_sets(client: RpcClient, probe: ProbeService) -> None:
    reply = await ask(client, kit.BIG, size=3_000_000)
    with pytest.raises(TooLarge):
        await reply.read(limit=1_000_000)


async def test_past_its_deadline_a_handler_is_cancelled(client: RpcClient, probe: ProbeService) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await ask(client, kit.WAIT, 0.2, seconds=30)
    assert time.monotonic() - started < 10
    await eventually(lambda: probe.cancelled == 1)


async def test_the_service_itself_answers_a_missed_deadline(connection: Connection, probe: ProbeService) -> None:
    reply = await connection.request(
        kit.WAIT.subject, b'{"seconds":30}', timeout=5, headers={**HEADERS, names.TIMEOUT: "100"}
    )
    assert (reply.headers or {})[names.ERROR_CODE] == "504"


async def test_what_waited_past_its_deadline_is_never_begun(client: RpcClient, probe: ProbeService) -> None:
    busy = [asyncio.create_task(ask(client, kit.WAIT, seconds=0.6)) for _ in range(4)]
    await eventually(lambda: probe.started == 4)
    with pytest.raises(DeadlineExceeded):
        await ask(client, kit.WAIT, 0.2)
    await asyncio.gather(*busy)
    await asyncio.sleep(0.1)
    assert probe.started == 4


async def test_with_too_many_waiting_a_request_is_refused_at_once(client: RpcClient, probe: ProbeService) -> None:
    busy = [asyncio.create_task(ask(client, kit.WAIT, 30, seconds=30)) for _ in range(4 + 8)]
    await eventually(lambda: probe.started == 4)
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable, match="waiting"):
        await ask(client, kit.ECHO)
    assert not any(task.done() for task in busy)
    await end(busy)


async def test_a_caller_that_goes_away_cancels_the_handler(client: RpcClient, probe: ProbeService) -> None:
    call = asyncio.create_task(ask(client, kit.WAIT, 30, seconds=30))
    await eventually(lambda: probe.started == 1)
    call.cancel()
    await eventually(lambda: probe.cancelled == 1)
    assert not client._calls


async def test_a_cancellation_that_overtakes_its_request_stops_it(connection: Connection, probe: ProbeService) -> None:
    inbox = connection.new_inbox()
    await connection.publish(subjects.CANCEL, inbox.encode())
    await connection.flush()
    await connection.publish(kit.WAIT.subject, b"{}", reply=inbox, headers=HEADERS)
    await connection.request(kit.ECHO.subject, b"{}", headers=HEADERS)
    assert probe.started == 0


async def test_without_a_service_the_caller_learns_so_early(client: RpcClient) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable, match="no probe service") as caught:
        await ask(client, kit.ECHO, 2)
    assert time.monotonic() - started > 0.2, "one may be about to start; past the deadline it is another error"
    assert caught.value.retry_after == 1


async def test_a_service_that_restarts_is_waited_for(client: RpcClient, settings: Settings) -> None:
    call = asyncio.create_task(ask(client, kit.WRITE, 10))
    await asyncio.sleep(0.3)
    async with serving(ProbeService(), settings):
        assert (await call).body


async def test_the_typed_client_decodes_answers_and_refuses_wrong_requests(
    connection: Connection, probe: ProbeService
) -> None:
    table = {operation.id: operation for operation in kit.OPERATIONS}
    async with Client(connection, kit.WORKSPACE, principal="me", operations=table) as client:
        assert await client.call("probe.echo", Probe(text="a", size=2)) == Probe(text="a", size=2)
        async with client.stream("probe.rows", Probe(size=5)) as reply:
            assert await reply.read() == kit.BLOCK * 5
        assert reply.totals["rows"] == 10_000
        with pytest.raises(TypeError):
            await client.call("probe.echo", {"text": "a"})
    assert probe.contexts[-1].principal == "me"
