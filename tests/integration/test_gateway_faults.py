"""What a gateway does while NATS or Redis is away, and after."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from contracts.caching import CachePolicy
from tests.infra import EmbeddedServers
from tests.integration.gateway_support import (
    Responder,
    Served,
    fresh_workspace,
    nats_and_redis,
    responder,
    serving,
    until,
)
from tests.platform import environment, free_port


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    with nats_and_redis() as started:
        yield started


@pytest.fixture
async def services(servers: EmbeddedServers) -> AsyncIterator[Responder]:
    async with responder(servers.settings) as answering:
        yield answering


@pytest.fixture
async def one(servers: EmbeddedServers, services: Responder) -> AsyncIterator[Served]:
    async with serving(servers.settings) as gateway:
        yield gateway


async def status_and_cache(served: Served, body: object) -> tuple[int, str]:
    async with served.ask(body) as response:
        await response.read()
        return response.status, response.headers.get("X-Cache", "")


def kill(servers: EmbeddedServers, name: str) -> None:
    os.kill(servers.pid(name), signal.SIGKILL)
    servers.stop(name)


async def start(servers: EmbeddedServers, name: str) -> None:
    await asyncio.to_thread(servers.start, name)


async def test_without_redis_answers_are_right_fast_and_still_cached_in_memory(
    servers: EmbeddedServers, services: Responder, one: Served
) -> None:
    kill(servers, "redis")
    await status_and_cache(one, {"limit": 1})
    started = time.monotonic()
    for limit in range(2, 22):
        assert await status_and_cache(one, {"limit": limit}) == (200, "miss")
        assert await status_and_cache(one, {"limit": limit}) == (200, "hit")
    assert time.monotonic() - started < 8.0, "no request waits for a Redis that is away"
    assert services.calls == 21
    await start(servers, "redis")
    await until(lambda: one.gateway.remote.guard.up)
    await status_and_cache(one, {"limit": 50})
    await one.gateway.answers.close()
    async with serving(servers.settings) as two:
        two.workspace = one.workspace
        assert await status_and_cache(two, {"limit": 50}) == (200, "hit")


async def test_a_hanging_redis_costs_one_timeout_not_one_a_request(
    servers: EmbeddedServers, services: Responder, one: Served
) -> None:
    os.kill(servers.pid("redis"), signal.SIGSTOP)
    try:
        started = time.monotonic()
        for limit in range(1, 31):
            assert (await status_and_cache(one, {"limit": limit}))[0] == 200
        assert time.monotonic() - started < 12
    finally:
        os.kill(servers.pid("redis"), signal.SIGCONT)
    await until(lambda: one.gateway.remote.guard.up)


async def test_drops_that_redis_missed_are_carried_out_before_it_is_used_again(
    servers: EmbeddedServers, services: Responder, one: Served
) -> None:
    from gateway.cache.drops import Drop

    services.policy = CachePolicy(ttl=60, tags=("a",))
    await status_and_cache(one, {"limit": 1})
    await one.gateway.answers.close()
    os.kill(servers.pid("redis"), signal.SIGSTOP)
    try:
        await status_and_cache(one, {"limit": 2})
        await until(lambda: not one.gateway.remote.guard.up)
        one.gateway.listener.drop(Drop(one.workspace, frozenset({"a"}), False))
        await until(lambda: one.gateway.remote._pending)
    finally:
        os.kill(servers.pid("redis"), signal.SIGCONT)
    await until(lambda: one.gateway.remote.guard.up)
    assert await status_and_cache(one, {"limit": 1}) == (200, "miss")


async def test_without_nats_requests_fail_at_once_and_recover_by_themselves(
    servers: EmbeddedServers, services: Responder, one: Served
) -> None:
    assert await status_and_cache(one, {"limit": 1}) == (200, "miss")
    kill(servers, "nats")
    await until(lambda: not one.gateway.bus.connected)
    started = time.monotonic()
    async with one.ask({"limit": 2}) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert response.content_type == "application/problem+json"
    assert time.monotonic() - started < 10
    await until(lambda: not one.gateway.trust.hearing)
    assert one.gateway.memory.bytes == 0, "nothing the memory level holds can be trusted now"
    assert await status_and_cache(one, {"limit": 1}) == (200, "hit"), "Redis is kept clean by others"
    async with one.session.get(one.url + "/ready") as response:
        assert (response.status, (await response.json())["nats"]["ready"]) == (503, False)
    async with one.session.get(one.url + "/health") as response:
        assert response.status == 200
    await start(servers, "nats")
    await until(lambda: one.gateway.trust.hearing and services.connection.is_connected)
    assert await status_and_cache(one, {"limit": 3}) == (200, "miss")
    assert await status_and_cache(one, {"limit": 3}) == (200, "hit")


async def test_nats_dying_under_a_request_ends_it_long_before_its_deadline(
    servers: EmbeddedServers, services: Responder, one: Served
) -> None:
    services.delay = 30.0
    asking = asyncio.create_task(status_and_cache(one, {"limit": 1}))
    await until(lambda: services.calls == 1)
    kill(servers, "nats")
    assert (await asyncio.wait_for(asking, 8))[0] == 503


async def test_a_service_that_is_not_there_is_a_503(servers: EmbeddedServers) -> None:
    async with serving(servers.settings) as one, one.ask() as response:
        assert response.status == 503
        assert "Retry-After" in response.headers


async def test_a_gateway_starts_without_its_servers_and_finds_them_later(servers: EmbeddedServers) -> None:
    settings = servers.settings
    servers.stop("nats", "redis")
    async with serving(settings, wait=False) as one:
        async with one.ask() as response:
            assert response.status == 503
        await start(servers, "nats")
        await start(servers, "redis")
        await until(lambda: one.gateway.trust.hearing and one.gateway.remote.guard.up)
        async with responder(settings):
            assert (await status_and_cache(one, {"limit": 1}))[0] == 200


async def test_a_terminated_gateway_finishes_what_is_in_flight_and_leaves(
    servers: EmbeddedServers, services: Responder, tmp_path: Path
) -> None:
    port = free_port()
    extra = {"ANALYTICS_API_PORT": str(port)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.main"], env=environment(servers.settings) | extra, stderr=log
        )
    headers = {"X-Workspace-Id": fresh_workspace(), "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/query/events"
    try:
        async with aiohttp.ClientSession(headers=headers) as session:

            async def status(body: str) -> int:
                try:
                    async with session.post(url, data=body) as response:
                        return response.status
                except aiohttp.ClientConnectionError:
                    return 0

            deadline = time.monotonic() + 20
            while await status('{"limit":1}') != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            services.delay = 1.0
            calls = services.calls
            asking = asyncio.create_task(status('{"limit":2}'))
            await until(lambda: services.calls > calls)
            process.terminate()
            await asyncio.sleep(0.3)
            assert await status('{"limit":3}') == 0, "no new connections"
            assert await asking == 200
        assert await asyncio.to_thread(process.wait, 10) == 0
    finally:
        process.kill()
        process.wait()
    assert urlsplit(url).port == port
    assert '"message":"draining"' in (tmp_path / "log").read_text()
