"""The settings of workspaces as the profile service knows them: kept shortly, and no longer than they hold."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from contracts.errors import Unavailable
from contracts.subjects import CACHE_DROP
from contracts.workspace import WorkspaceSettings
from services.kit.settings import Settings
from services.profile.bus import Bus
from services.profile.workspaces import SECONDS, Workspaces
from tests.api import Api
from tests.people import connected


async def test_a_change_is_known_at_once_and_all_else_is_asked_for_once(api: Api, infra: Settings) -> None:
    async with connected(infra) as resources:
        known = resources.workspaces
        await known.start()
        assert await known.get(api.workspace) == WorkspaceSettings()
        assert await known.get(api.workspace) is await known.get(api.workspace)
        assert (await api.call("/workspace", {"timezone": "Europe/Berlin"}, method="PUT")).status == 200
        async with asyncio.timeout(SECONDS / 2):
            while (await known.get(api.workspace)).timezone != "Europe/Berlin":
                await asyncio.sleep(0.02)
        kept = await known.get(api.workspace)
        await resources.bus.connection.publish(CACHE_DROP, b'{"workspace_id":"of a newer version"}')
        async with asyncio.timeout(SECONDS / 2):
            while await known.get(api.workspace) is kept:
                await asyncio.sleep(0.02)
        assert await known.get(api.workspace) == kept


async def test_nobody_knows_without_the_query_service(infra: Settings) -> None:
    class Deaf(Bus):
        async def ask(self, *_: object, **__: object) -> WorkspaceSettings:
            raise Unavailable("no query service is running", retry_after=1)

    with pytest.raises(Unavailable):
        await Workspaces(Deaf(infra)).get(uuid4())
