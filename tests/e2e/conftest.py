"""`cdp up`, with a few events in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import aiohttp
import pytest

from tests.api import Api
from tests.fleet import Fleet, fleet

_T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """All of it, ready."""
    with fleet(tmp_path_factory.mktemp("fleet") / "home") as started:
        started.start()
        started.wait_ready()
        yield started


@pytest.fixture(scope="session")
async def shop(up: Fleet) -> AsyncIterator[Api]:
    """A workspace with events of each table."""
    async with aiohttp.ClientSession() as http:
        api = Api(up.settings, f"http://127.0.0.1:{up.settings.api_port}", uuid4(), http)
        base = {"anonymous_id": "a", "user_id": "u", "properties": {"price": 1.5}, "traits": {"plan": "x"}}
        await api.write(
            {
                **base,
                "table": table,
                "message_id": f"{table}{number}",
                "timestamp": _T0 + number * 1000,
                "received_at": _T0 + number * 1000,
                "event": "Viewed",
                "name": "Home",
                "group_id": "g",
            }
            for number in range(20)
            for table in ("track", "page", "identify", "group")
        )
        yield api


@pytest.fixture(autouse=True)
def nothing_dies(up: Fleet) -> Iterator[None]:
    """Whatever a test sends, every process is the same afterwards, and the gateway is ready."""
    before = up.pids
    yield
    assert up.pids == before
    assert up.is_ready()
