"""Large answers: bounded memory, slow readers, readers that leave, and services that die in the middle."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.api import Api
from tests.faults.exports import ROWS, Engine, fill
from tests.faults.memory import MB, Peaks, watching
from tests.fleet import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

_NDJSON = "application/x-ndjson"
_OURS_MB = 200
_ENGINE_MB = 800


@pytest.fixture(scope="module")
async def engine(supervised: Fleet) -> AsyncIterator[Engine]:
    found = Engine(supervised.settings)
    await found.handle.start()
    yield found
    await found.handle.close()


@pytest.fixture(scope="module")
async def large(supervised: Fleet, engine: Engine) -> AsyncIterator[Api]:
    """A workspace with ROWS rows."""
    workspace = uuid4()
    begun = time.monotonic()
    await fill(engine.handle, workspace, ROWS)
    print(f"{ROWS} rows written in {time.monotonic() - begun:.1f} s")
    await engine.settled(workspace, within=120.0)
    connector = aiohttp.TCPConnector(socket_factory=_small_socket)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as http:
        yield Api(supervised.settings, f"http://127.0.0.1:{supervised.settings.api_port}", workspace, http)


def _small_socket(address: Any) -> socket.socket:
    """Return a socket that takes little unread: the kernel's own limit may be larger than the whole answer."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
    return made


def processes(supervised: Fleet) -> dict[str, int]:
    """Return the process ids of all, the supervisor among them."""
    assert supervised.process is not None
    return {**supervised.pids, "supervisor": supervised.process.pid}


def opened(api: Api, body: dict[str, Any], accept: str = _NDJSON) -> Any:
    """Return the request for a stream, as a context manager."""
    headers = {"X-Workspace-Id": str(api.workspace), "Accept": accept, "Cache-Control": "no-cache"}
    return api.http.post(api.url + "/query/events", json=body, headers=headers)


@pytest.mark.parametrize("order", ["unordered", "newest"])
async def test_a_large_stream_arrives_whole_in_bounded_memory(supervised: Fleet, large: Api, order: str) -> None:
    lines = size = 0
    with watching(processes(supervised)) as peaks:
        begun = time.monotonic()
        async with opened(large, {"table": "track", "order": order}) as answer:
            assert answer.status == 200
            first = last = b""
            async for chunk in answer.content.iter_any():
                lines += chunk.count(b"\n")
                size += len(chunk)
                first, last = first or chunk, (last + chunk)[-4096:]
        seconds = time.monotonic() - begun
    print(f"{order}: {lines / seconds:,.0f} rows/s, {size / lines:.0f} bytes a row, {seconds:.1f} s; {peaks}")
    assert lines == ROWS
    assert 200 <= size / lines <= 450
    if order == "newest":
        oldest = json.loads(last.splitlines()[-1])
        assert (oldest["timestamp"], oldest["properties"]["n"]) == ("2020-01-01T00:00:00.000Z", 0)
    for name, peak in peaks.highest.items():
        assert peak <= (_ENGINE_MB if name == "clickhouse" else _OURS_MB) * MB, f"{name}: {peaks}"


def _grown(peaks: Peaks) -> dict[str, int]:
    """Return what has grown by more than its buffers vary, in bytes."""
    return {name: by for name, by in peaks.growth().items() if by >= (50 if name == "clickhouse" else 5) * MB}


async def test_a_slow_reader_makes_nothing_grow_and_has_it_all_in_the_end(supervised: Fleet, large: Api) -> None:
    async with opened(large, {"table": "track", "order": "unordered"}) as answer:
        first = await answer.content.readany()
        answer.connection.transport.pause_reading()
        await asyncio.sleep(2.0)  # what there is room for has been filled
        for _ in range(5):  # a merge or a vacuum in between grows for a while; what is kept for a reader grows always
            with watching(processes(supervised)) as peaks:
                await asyncio.sleep(3.0)
            if not (grown := _grown(peaks)):
                break
        answer.connection.transport.resume_reading()
        lines = first.count(b"\n")
        async for chunk in answer.content.iter_any():
            lines += chunk.count(b"\n")
    print(f"slow reader: {peaks}")
    assert not grown, grown
    assert lines == ROWS, "it had waited"


async def test_a_client_that_leaves_in_the_middle_stops_the_query(large: Api, engine: Engine) -> None:
    for order in ("unordered", "oldest"):
        async with opened(large, {"table": "track", "order": order}) as answer:
            await answer.content.readany()
            assert await engine.queries(large.workspace) == 1
            answer.close()
        seconds = await engine.seconds_until(large.workspace, running=False, within=10.0)
        print(f"{order}: stopped after {seconds:.2f} s")


def _slow(patterns: int) -> dict[str, Any]:
    """Return a question without rows that costs the engine some time for each pattern."""
    items = [{"op": "matches", "field": "properties.text", "value": f"^(x|y)+{n}$"} for n in range(patterns)]
    return {"table": "track", "where": {"op": "or", "items": items}}


@pytest.mark.parametrize(
    ("accept", "order"), [(_NDJSON, {"order": "unordered"}), (_NDJSON, {"order": "newest"}), ("application/json", {})]
)
async def test_a_client_that_leaves_before_the_first_byte_stops_the_query(
    large: Api, engine: Engine, accept: str, order: dict[str, str]
) -> None:
    begun = time.monotonic()
    async with opened(large, _slow(20) | order, accept) as answer:
        assert answer.status in (200, 504)
    # Four seconds' work: long enough to leave, while a block, which the engine always finishes, takes half a second.
    patterns = max(20, min(400, round(20 * 4 / (time.monotonic() - begun))))
    asking = asyncio.create_task(opened(large, _slow(patterns) | order, accept).__aenter__())
    await engine.seconds_until(large.workspace, running=True, within=20.0)
    await asyncio.sleep(0.2)
    await engine.seconds_until(large.workspace, running=True, within=10.0)  # an ordered stream asks month by month
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    seconds = await engine.seconds_until(large.workspace, running=False, within=2.0)
    print(f"{accept} {order}: {patterns} patterns, stopped after {seconds:.2f} s")


async def test_a_stream_whose_service_is_killed_ends_abnormally(supervised: Fleet, large: Api) -> None:
    async with opened(large, {"table": "track", "order": "unordered"}) as answer:
        assert answer.status == 200
        await answer.content.readany()
        answer.connection.transport.pause_reading()
        await asyncio.to_thread(supervised.kill, "query")
        answer.connection.transport.resume_reading()
        begun = time.monotonic()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
        print(f"broken off {time.monotonic() - begun:.1f} s after the kill")
    await _answers_again(large)


async def test_a_stream_whose_engine_is_killed_ends_abnormally(supervised: Fleet, large: Api) -> None:
    async with opened(large, {"table": "track", "order": "unordered"}) as answer:
        assert answer.status == 200
        await answer.content.readany()
        await asyncio.to_thread(supervised.kill, "clickhouse")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    await _answers_again(large)


async def _answers_again(api: Api) -> None:
    deadline = time.monotonic() + 30
    while (await api.call("/query/events", {"limit": 1}, **{"Cache-Control": "no-cache"})).status != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
