from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from asynch.connection import Connection

from .server import Front


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    server = Front(tmp_path_factory.mktemp("front")).start()
    yield server
    assert server.stop() == 0


@pytest.fixture(params=[False, "lz4", "zstd"], ids=["plain", "lz4", "zstd"])
async def connection(front: Front, request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    async with front.connection(compression=request.param) as connected:
        yield connected


@pytest.fixture
async def plain(front: Front) -> AsyncIterator[Connection]:
    async with front.connection() as connected:
        yield connected


@pytest.fixture
async def reader(front: Front) -> AsyncIterator[Connection]:
    async with front.connection("reader", "look") as connected:
        yield connected
