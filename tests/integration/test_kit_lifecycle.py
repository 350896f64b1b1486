"""Starting without NATS, surviving its restart, and leaving without losing a request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client as Connection

from contracts.base import encode
from contracts.errors import Unavailable
from services.kit import service_app
from services.kit.health import ask_fleet
from services.kit.lifecycle import close_quietly, connect
from services.kit.rpc import RpcClient
from services.kit.settings import Settings
from tests.integration import kit_probe as kit
from tests.integration.kit_probe import HEADERS, NatsServer, ProbeService, eventually, serving


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with kit.nats_server() as found:
        yield found


@pytest.fixture
async def connection(server: NatsServer) -> AsyncIterator[Connection]:
    found = await connect(Settings(nats_url=server.url), "test")
    yield found
    await close_quietly(found.close)


@pytest.fixture
async def client(connection: Connection) -> AsyncIterator[RpcClient]:
    found = RpcClient(connection)
    await found.start()
    yield found
    await found.close()


async def _served(client: RpcClient, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            await client.call(kit.ECHO, b"{}", HEADERS, 5)
            return
        except Unavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def _replicas(connection: Connection, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(await ask_fleet(connection, 0.3)) < count:
        assert time.monotonic() < deadline


async def test_a_service_that_starts_before_nats_serves_when_it_comes() -> None:
    server = kit.NatsServer()
    async with asyncio.timeout(20):
        starting = asyncio.create_task(_serve_for_a_while(server.url))
        await asyncio.sleep(0.5)
        server.start()
        try:
            connection = await connect(Settings(nats_url=server.url), "test")
            client = RpcClient(connection)
            await client.start()
            await _served(client, 5)
            await client.close()
            await connection.close()
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            server.kill()


async def _serve_for_a_while(url: str) -> None:
    async with serving(ProbeService(), Settings(nats_url=url)):
        await asyncio.sleep(60)


async def test_told_to_leave_a_service_finishes_what_it_has(client: RpcClient, server: NatsServer) -> None:
    with kit.process(server.url) as service:
        await _served(client)
        call = asyncio.create_task(client.call(kit.WAIT, b'{"seconds":1,"text":"done"}', HEADERS, 10))
        await asyncio.sleep(0.3)
        assert await service.leave() == 0
        assert json.loads((await call).body or b"")["text"] == "done"
        assert [line["message"] for line in service.log() if line["level"] != "info"] == []


async def test_what_outlasts_the_grace_period_is_told_to_come_back(
    client: RpcClient, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_app, "DRAIN_SECONDS", 0.2)
    probe = ProbeService()
    async with serving(probe, Settings(nats_url=server.url)):
        call = asyncio.create_task(client.call(kit.WAIT, b'{"seconds":30}', HEADERS, 30))
        await eventually(lambda: probe.started == 1)
    with pytest.raises(Unavailable, match="stopping"):
        await call
    assert probe.cancelled == 1


async def test_a_service_can_leave_while_nats_is_away(client: RpcClient, server: NatsServer) -> None:
    with kit.process(server.url) as service:
        await _served(client)
        server.kill()
        await asyncio.sleep(0.3)
        started = time.monotonic()
        assert await service.leave() == 0
        assert time.monotonic() - started < 9


async def test_a_service_that_nats_refuses_a_subject_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text('authorization { users = [{user: u, password: p, permissions: {subscribe: {deny: "cdp.>"}}}] }')
    with kit.nats_server("-c", str(config)) as server, pytest.raises(PermissionError, match="permissions violation"):
        async with serving(ProbeService(), Settings(nats_url=server.url.replace("//", "//u:p@"))):
            raise AssertionError("it started")


async def test_a_service_that_never_saw_nats_can_leave() -> None:
    with kit.process(kit.NatsServer().url) as service:
        await eventually(lambda: len(service.log()) > 0, 20)
        assert service.running
        assert await service.leave() == 0


async def test_a_rolling_restart_under_load_fails_no_request(
    client: RpcClient, connection: Connection, server: NatsServer
) -> None:
    served = 0
    stop = asyncio.Event()

    async def load(number: int) -> None:
        nonlocal served
        while not stop.is_set():
            reply = await client.call(kit.WRITE, encode({"text": str(served), "seconds": 0.002}), HEADERS, 3)
            assert reply.body
            served += 1

    with kit.process(server.url) as first, kit.process(server.url) as second:
        await _replicas(connection, 2)
        tasks = [asyncio.create_task(load(number)) for number in range(8)]
        await asyncio.sleep(0.5)
        assert await first.leave() == 0
        before = served
        with kit.process(server.url):
            await _replicas(connection, 2)
            assert await second.leave() == 0
            await asyncio.sleep(0.5)
            stop.set()
            await asyncio.gather(*tasks)
    assert served > before > 100


async def test_a_call_in_flight_fails_fast_when_nats_dies_and_works_again_when_it_is_back(
    client: RpcClient, server: NatsServer
) -> None:
    probe = ProbeService()
    async with serving(probe, Settings(nats_url=server.url)):
        call = asyncio.create_task(client.call(kit.WRITE, b'{"seconds":20}', HEADERS, 20))
        await eventually(lambda: probe.started == 1)
        started = time.monotonic()
        server.kill()
        with pytest.raises(Unavailable, match="connection to NATS was lost"):
            await call
        assert time.monotonic() - started < 10
        started = time.monotonic()
        with pytest.raises(Unavailable, match="no connection"):
            await client.call(kit.ECHO, b"{}", HEADERS, 20)
        assert time.monotonic() - started < 10
        server.start()
        await _served(client, 5)


async def test_an_idempotent_call_survives_a_quick_restart_of_nats(client: RpcClient, server: NatsServer) -> None:
    probe = ProbeService()
    async with serving(probe, Settings(nats_url=server.url)):
        call = asyncio.create_task(client.call(kit.WAIT, b'{"seconds":0.8,"text":"twice"}', HEADERS, 20))
        await eventually(lambda: probe.started == 1)
        server.kill()
        server.start()
        assert json.loads((await call).body or b"")["text"] == "twice"
        assert probe.started == 2


async def test_a_supervisor_may_fork_a_service(client: RpcClient, server: NatsServer) -> None:
    code = (
        "import os, signal\n"
        "from services.kit.service import run\n"
        "from services.kit.settings import load\n"
        "from tests.integration.kit_probe import ProbeService\n"
        "settings = load()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    run(ProbeService().service(), settings)\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))\n"
        "os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    with kit.process(server.url, "-c", code) as supervisor:
        await _served(client)
        assert await supervisor.leave() == 0
        assert supervisor.log()[0]["message"] == "serving"
