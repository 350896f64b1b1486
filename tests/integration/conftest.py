"""Fixtures for tests of the whole platform over HTTP and NATS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import aiohttp
import pytest

from services.kit.settings import Settings
from tests.api import Api
from tests.platform import Platform, running


@pytest.fixture(scope="session")
def platform(infra: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One query service and one gateway, ready."""
    with running(infra, tmp_path_factory.mktemp("platform")) as started:
        yield started


@pytest.fixture
async def api(platform: Platform, workspace: UUID) -> AsyncIterator[Api]:
    """A client of the platform in a workspace of its own."""
    async with aiohttp.ClientSession() as http:
        yield Api(platform.settings, platform.url, workspace, http)
