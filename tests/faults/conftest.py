"""Two places to break: parts that stay away as long as a test likes, and `cdp up`, which brings them back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import aiohttp
import pytest

from tests.api import Api
from tests.faults import load
from tests.faults.world import World, world
from tests.fleet import Fleet, fleet


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All processes, restarted by nobody."""
    with world(tmp_path_factory.mktemp("world")) as started:
        yield started


@pytest.fixture(scope="session")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """`cdp up`, ready."""
    environ = {"ANALYTICS_REQUEST_TIMEOUT_SECONDS": str(load.DEADLINE)}
    with fleet(tmp_path_factory.mktemp("fleet") / "home", environ) as started:
        started.start()
        started.wait_ready()
        yield started


@pytest.fixture(scope="session")
async def parts_api(parts: World) -> AsyncIterator[Api]:
    """A workspace of the parts, with the events `load.question` asks for."""
    async with aiohttp.ClientSession() as http:
        api = Api(parts.platform.settings, parts.platform.url, uuid4(), http)
        await load.fill(api)
        yield api


@pytest.fixture(scope="session")
async def supervised_api(supervised: Fleet) -> AsyncIterator[Api]:
    """A workspace of `cdp up`, with the events `load.question` asks for."""
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{supervised.settings.api_port}"
        api = Api(supervised.settings, url, uuid4(), http)
        await load.fill(api)
        yield api
