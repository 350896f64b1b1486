"""Streamed answers through the gateway: bounded memory, slow and leaving clients, broken ends."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from contracts.errors import LimitExceeded
from services.kit.settings import Settings
from services.kit.streaming import WINDOW_BYTES
from tests.integration.gateway_support import Responder, Served, nats_and_redis, responder, serving, until

NDJSON = "application/x-ndjson"
ROW = b'{"event":"Order Completed","properties":{"revenue":12.5}}\n'
BLOCK = ROW * 2_000


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with nats_and_redis() as servers:
        yield servers.settings


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Responder]:
    async with responder(settings) as answering:
        yield answering


@pytest.fixture
async def one(settings: Settings, services: Responder) -> AsyncIterator[Served]:
    async with serving(settings) as gateway:
        yield gateway


async def blocks(count: int, pause: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield BLOCK
        if pause:
            await asyncio.sleep(pause)


async def test_a_stream_arrives_whole_and_in_order(one: Served, services: Responder) -> None:
    async def numbered() -> AsyncIterator[bytes]:
        for number in range(300):
            yield b"%d\n" % number * 5_000

    services.respond = lambda message: services.stream(message, numbered(), NDJSON)
    async with one.ask(Accept=NDJSON) as response:
        assert (response.status, response.content_type) == (200, NDJSON)
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in response.headers
        assert await response.read() == b"".join([b"%d\n" % number * 5_000 for number in range(300)])


async def test_a_stream_is_compressed_on_the_way_when_wanted(one: Served, services: Responder) -> None:
    services.respond = lambda message: services.stream(message, blocks(20), NDJSON)
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    head = f"POST /query/events HTTP/1.0\r\nX-Workspace-Id: {one.workspace}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Accept: {NDJSON}\r\nAccept-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    answer = await reader.read()
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in headers
    assert gzip.decompress(body) == BLOCK * 20
    assert len(body) < len(BLOCK)
    writer.close()


async def test_parquet_is_not_compressed_again(one: Served, services: Responder) -> None:
    media_type = "application/vnd.apache.parquet"
    services.respond = lambda message: services.stream(message, blocks(2), media_type)
    async with one.ask(Accept=media_type, Accept_Encoding="gzip") as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == BLOCK * 2


async def test_a_client_that_does_not_read_stops_the_service_after_some_megabytes(
    one: Served, services: Responder
) -> None:
    services.respond = lambda message: services.stream(message, blocks(1_000), NDJSON)
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port, limit=65_536)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    head = f"POST /query/events HTTP/1.1\r\nHost: x\r\nX-Workspace-Id: {one.workspace}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nAccept: {NDJSON}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    settled = -1
    while settled != services.sent or not settled:
        settled = services.sent
        await asyncio.sleep(0.5)
    # The window between service and gateway, and the two sockets' buffers between gateway and client.
    assert settled < WINDOW_BYTES + 40 * 1024 * 1024 < 1_000 * len(BLOCK)
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert await asyncio.wait_for(_count(reader), 30) == 1_000 * len(BLOCK)
    writer.close()


async def _count(reader: asyncio.StreamReader) -> int:
    """Read a chunked answer to its end and return the bytes of its body."""
    while await reader.readline() != b"\r\n":
        pass
    total = 0
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
        total += size
    return total


async def test_a_client_that_leaves_stops_the_stream(one: Served, services: Responder) -> None:
    services.respond = lambda message: services.stream(message, blocks(100_000), NDJSON)
    async with one.ask(Accept=NDJSON) as response:
        await response.content.readany()
        response.close()
    await until(lambda: services.cancelled, 10.0)
    sent = services.sent
    await asyncio.sleep(0.3)
    assert services.sent == sent


async def test_a_client_that_leaves_before_the_first_byte_stops_the_work(one: Served, services: Responder) -> None:
    services.delay = 30.0
    for headers in ({"Accept": NDJSON}, {"Accept": "application/json"}):
        services.cancelled.clear()
        calls = services.calls
        task = asyncio.create_task(one.ask(**headers).__aenter__())
        await until(lambda calls=calls: services.calls > calls)
        task.cancel()
        await until(lambda: services.cancelled, 10.0)


async def test_an_error_in_the_middle_leaves_the_answer_visibly_incomplete(one: Served, services: Responder) -> None:
    error = LimitExceeded("rows")
    services.respond = lambda message: services.stream(message, blocks(10), NDJSON, error)
    async with one.ask(Accept=NDJSON) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    async with one.ask({"limit": 1}) as response:
        assert response.status == 200, "only that connection closed"


async def test_an_error_before_the_first_byte_is_a_problem(one: Served, services: Responder) -> None:
    services.respond = lambda message: services.fail(message, LimitExceeded("rows"))
    async with one.ask(Accept=NDJSON) as response:
        assert (response.status, response.content_type) == (422, "application/problem+json")


async def test_a_stream_ends_at_its_time_limit(settings: Settings, services: Responder) -> None:
    services.respond = lambda message: services.stream(message, blocks(1_000, pause=0.05), NDJSON)
    async with serving(settings, stream_timeout_seconds=1.0) as one, one.ask(Accept=NDJSON) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
        await until(lambda: services.cancelled)


async def test_a_stalled_client_is_cut_off_at_the_time_limit(settings: Settings, services: Responder) -> None:
    services.respond = lambda message: services.stream(message, blocks(5_000), NDJSON)
    async with serving(settings, stream_timeout_seconds=1.0) as one, one.ask(Accept=NDJSON) as response:
        assert response.status == 200
        await until(lambda: services.cancelled)


async def test_stream_bytes_are_counted(one: Served, services: Responder) -> None:
    services.respond = lambda message: services.stream(message, blocks(3), NDJSON)
    async with one.ask(Accept=NDJSON) as response:
        await response.read()
    async with one.session.get(one.url + "/metrics") as response:
        text = await response.text()
    assert f'cdp_http_stream_bytes_total{{operation="query.events"}} {len(BLOCK) * 3:.1f}' in text
