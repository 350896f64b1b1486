"""Streamed replies over a real NATS server: complete or an error, with bounded memory, stopped when nobody reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from nats.aio.client import Client as Connection
from nats.aio.msg import Msg

from contracts import headers as names
from contracts import subjects
from contracts.base import encode
from contracts.errors import DeadlineExceeded, NotFound, Unavailable
from contracts.operation import Operation
from services.kit import rpc, service_calls
from services.kit.lifecycle import close_quietly, connect
from services.kit.rpc import Reply, RpcClient
from services.kit.service_app import ServiceApp
from services.kit.settings import Settings
from services.kit.streaming import WINDOW_BYTES
from tests.integration import kit_probe as kit
from tests.integration.kit_probe import BLOCK, HEADERS, NatsServer, ProbeService, eventually, serving

AHEAD = WINDOW_BYTES // len(BLOCK) + 2
"""Chunks a source may have made more than its reader has read: the window, one waiting, one being made."""


@pytest.fixture
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
    await close_quietly(found.close)


@pytest.fixture
async def client(connection: Connection) -> AsyncIterator[RpcClient]:
    found = RpcClient(connection)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def probe() -> ProbeService:
    return ProbeService()


@pytest.fixture
async def app(probe: ProbeService, settings: Settings) -> AsyncIterator[ServiceApp]:
    async with serving(probe, settings) as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life every 0.1 s, death after 0.5 s, so that silence can be tested in reasonable time."""
    for module in (rpc, service_calls):
        monkeypatch.setattr(module, "BEAT", 0.1)
        monkeypatch.setattr(module, "SILENCE", 0.5)


async def ask(client: RpcClient, operation: Operation, timeout: float = 20.0, **fields: object) -> Reply:
    return await client.call(operation, encode(fields), HEADERS, timeout)


async def test_a_stream_arrives_whole_and_in_order_with_its_totals(client: RpcClient, app: ServiceApp) -> None:
    reply = await ask(client, kit.ROWS, size=100)
    assert reply.body is None
    assert reply.headers[names.CONTENT_TYPE] == "application/x-ndjson"
    assert await reply.read() == BLOCK * 100
    assert reply.totals == {"rows": 200_000, "frames": 100, "bytes": 100 * len(BLOCK)}
    assert not client._calls
    assert not app.calls._by_credit


async def test_an_empty_stream_has_headers_and_totals(client: RpcClient, app: ServiceApp) -> None:
    reply = await ask(client, kit.ROWS, size=0)
    assert reply.headers[names.CONTENT_TYPE] == "application/x-ndjson"
    assert await reply.read() == b""
    assert reply.totals["rows"] == 0


async def test_chunks_larger_than_a_frame_are_cut(client: RpcClient, app: ServiceApp) -> None:
    reply = await ask(client, kit.BIG, size=10_000_001)
    sizes = [len(chunk) async for chunk in reply.chunks()]
    assert sum(sizes) == 10_000_001
    assert max(sizes) == 256 * 1024


async def test_the_source_never_runs_more_than_a_window_ahead_of_its_reader(
    client: RpcClient, app: ServiceApp, probe: ProbeService
) -> None:
    reply = await ask(client, kit.ROWS, size=500)
    await asyncio.sleep(0.3)
    assert probe.chunks <= AHEAD
    read = 0
    async for chunk in reply.chunks():
        read += len(chunk)
        if read < 10_000_000:
            await asyncio.sleep(0.001)
        assert probe.chunks <= read // len(BLOCK) + AHEAD
    assert read == 500 * len(BLOCK)


async def test_several_streams_and_calls_share_a_connection(client: RpcClient, app: ServiceApp) -> None:
    replies = await asyncio.gather(*(ask(client, kit.ROWS, size=40 + number) for number in range(2)))
    bodies = asyncio.gather(*(reply.read() for reply in replies))
    for _ in range(20):
        assert (await ask(client, kit.ECHO)).body
    assert [len(body) for body in await bodies] == [(40 + number) * len(BLOCK) for number in range(2)]


async def test_slow_readers_take_no_place_from_other_requests(
    client: RpcClient, app: ServiceApp, probe: ProbeService
) -> None:
    streams = [await ask(client, kit.ROWS, size=500) for _ in range(2)]  # half of the places
    with pytest.raises(Unavailable, match="being streamed"):
        await ask(client, kit.ROWS, size=500)
    started = time.monotonic()
    await asyncio.gather(*(ask(client, kit.WAIT, seconds=1) for _ in range(4)))
    assert time.monotonic() - started < 1.95, "all four at once"
    for stream in streams:
        await stream.aclose()
    await eventually(lambda: probe.cancelled == 3)
    assert app.metrics.registry.get_sample_value("cdp_requests_in_flight") == 0
    assert app.metrics.registry.get_sample_value("cdp_requests_waiting") == 0


async def test_a_second_cancellation_does_no_harm(
    client: RpcClient, connection: Connection, app: ServiceApp, probe: ProbeService
) -> None:
    reply = await ask(client, kit.ROWS, size=500)
    (call,) = app.calls._active
    for _ in range(3):
        await connection.publish(subjects.CANCEL, call.received.inbox.encode())
    await eventually(lambda: probe.cancelled == 1)
    await reply.aclose()
    assert (await ask(client, kit.ECHO)).body


async def test_an_error_before_the_first_chunk_is_a_plain_error(client: RpcClient, app: ServiceApp) -> None:
    with pytest.raises(NotFound):
        await ask(client, kit.BREAK, size=0)


async def test_an_error_in_the_middle_comes_after_the_chunks_before_it(client: RpcClient, app: ServiceApp) -> None:
    reply = await ask(client, kit.BREAK, size=3)
    read = 0
    with pytest.raises(NotFound, match="the store went away"):
        async for chunk in reply.chunks():
            read += len(chunk)
    assert read == 3 * len(BLOCK)


async def test_closing_a_reply_stops_the_source(client: RpcClient, app: ServiceApp, probe: ProbeService) -> None:
    reply = await ask(client, kit.ROWS, size=10_000)
    await reply.aclose()
    await eventually(lambda: probe.cancelled == 1)
    assert not client._calls
    await eventually(lambda: not app.calls._by_credit)


async def test_leaving_the_loop_over_the_chunks_stops_the_source(
    client: RpcClient, app: ServiceApp, probe: ProbeService
) -> None:
    async with await ask(client, kit.ROWS, size=10_000) as reply:
        async for _ in reply.chunks():
            break
    await eventually(lambda: probe.cancelled == 1)


async def test_cancelling_the_reading_task_stops_the_source(
    client: RpcClient, app: ServiceApp, probe: ProbeService
) -> None:
    async def read() -> None:
        async with await ask(client, kit.ROWS, size=10_000, seconds=0.01) as reply:
            await reply.read()

    reading = asyncio.create_task(read())
    await eventually(lambda: probe.chunks > 5)
    reading.cancel()
    await eventually(lambda: probe.cancelled == 1)


async def test_the_deadline_ends_a_stream_on_both_sides(
    client: RpcClient, app: ServiceApp, probe: ProbeService
) -> None:
    reply = await ask(client, kit.ROWS, 0.5, size=10_000, seconds=0.01)
    with pytest.raises(DeadlineExceeded):
        await reply.read()
    await eventually(lambda: probe.cancelled == 1)


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_vanishes_without_a_word_stops_the_source(settings: Settings, probe: ProbeService) -> None:
    async with serving(probe, settings) as app:
        connection = await connect(settings, "vanishing")
        client = RpcClient(connection)
        await client.start()
        await ask(client, kit.ROWS, size=10_000)
        client._watcher.cancel()  # type: ignore[union-attr]
        await connection.close()
        await eventually(lambda: probe.cancelled == 1)
        assert not app.calls._by_credit


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_is_slow_but_alive_gets_everything(
    client: RpcClient, settings: Settings, probe: ProbeService
) -> None:
    async with serving(probe, settings):
        reply = await ask(client, kit.ROWS, size=60)
        await asyncio.sleep(1.2)  # longer than the silence after which a reader is taken for dead
        assert await reply.read() == BLOCK * 60


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("operation", [kit.WAIT, kit.ROWS])
async def test_a_service_that_is_slow_but_alive_is_waited_for(
    client: RpcClient, settings: Settings, probe: ProbeService, operation: Operation
) -> None:
    async with serving(probe, settings):
        reply = await ask(client, operation, size=2, seconds=1.2)
        assert await reply.read()


@pytest.mark.usefixtures("impatient")
async def test_a_service_killed_in_the_middle_is_an_error_to_the_reader(client: RpcClient, server: NatsServer) -> None:
    with kit.process(server.url) as service:
        reply = await _until_served(client, kit.ROWS, size=10_000, seconds=0.05)
        service.kill()
        with pytest.raises(Unavailable, match="stopped answering"):
            await reply.read()


@pytest.mark.usefixtures("impatient")
async def test_a_service_killed_before_its_reply_is_an_error_long_before_the_deadline(
    client: RpcClient, server: NatsServer
) -> None:
    with kit.process(server.url) as service:
        await _until_served(client, kit.ECHO)
        call = asyncio.create_task(ask(client, kit.WAIT, 60, seconds=60))
        await asyncio.sleep(0.2)
        service.kill()
        started = time.monotonic()
        with pytest.raises(Unavailable, match="stopped answering"):
            await call
        assert time.monotonic() - started < 20


async def test_nats_killed_in_the_middle_ends_both_sides(
    client: RpcClient, server: NatsServer, app: ServiceApp, probe: ProbeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = await ask(client, kit.ROWS, size=10_000, seconds=0.01)
    started = time.monotonic()
    server.kill()
    with pytest.raises(Unavailable, match="connection to NATS"):
        await reply.read()
    assert time.monotonic() - started < 20
    await eventually(lambda: probe.cancelled == 1)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["0", "2"], "frame 1 of the reply was lost"),
        (["1"], "frame 0 of the reply was lost"),
        (["0", "end:3"], "last frames"),
        (["end:0", "0"], "beginning of the reply was lost"),
        (["0", "end:nonsense"], "end of the reply cannot be read"),
    ],
)
async def test_a_lost_frame_is_an_error_and_never_a_shorter_answer(
    client: RpcClient, connection: Connection, frames: list[str], message: str
) -> None:
    async def lossy(request: Msg) -> None:
        for frame in frames:
            name, _, count = frame.partition(":")
            body = f'{{"frames":{count}}}'.encode() if count else b"data"
            await connection.publish(request.reply, body, headers={names.FRAME: name, names.CREDIT: "nobody"})

    await connection.subscribe(kit.ROWS.subject, cb=lossy)
    with pytest.raises(Unavailable, match=message):
        await (await ask(client, kit.ROWS)).read()


async def test_a_responder_that_ignores_the_window_is_cut_off(client: RpcClient, connection: Connection) -> None:
    async def flood(request: Msg) -> None:
        for number in range(50):
            await connection.publish(request.reply, b"x" * 250_000, headers={names.FRAME: str(number)})

    await connection.subscribe(kit.ROWS.subject, cb=flood)
    reply = await ask(client, kit.ROWS)
    await asyncio.sleep(0.3)
    with pytest.raises(Unavailable, match="faster than"):
        await reply.read()


async def _until_served(client: RpcClient, operation: Operation, **fields: object) -> Reply:
    deadline = time.monotonic() + 20
    while True:
        try:
            return await ask(client, operation, 60, **fields)
        except Unavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
