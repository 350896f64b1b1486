"""A workspace whose statements are many and heavy holds up nobody else's."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from contracts.operation import Format
from services.kit.settings import Settings
from tests.api import Api
from tests.custom_sql import ask, resources_of
from tests.integration.test_query_events import event
from tests.integration.test_sql_http import HEAVY

CALLERS = 24
"""More than a process has places for requests of all kinds; of one workspace 2 may run and 20 wait."""
LIGHT = {"query": "SELECT count() FROM events_track"}


async def test_others_are_answered_while_a_workspace_fills_its_line(api: Api) -> None:
    other = Api(api.settings, api.url, uuid.uuid4(), api.http)
    await other.write([event(1)])
    heavy = [asyncio.create_task(api.call("/query/sql", {"query": HEAVY})) for _ in range(CALLERS)]
    try:
        await asyncio.sleep(2)
        refused = [task.result() for task in heavy if task.done()]
        assert [answer.status for answer in refused] == [429, 429]
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        # Those that wait are stopped as well as those that run.
        query_id = str(uuid.uuid4())
        third = Api(api.settings, api.url, uuid.uuid4(), api.http)
        named = [
            asyncio.create_task(third.call("/query/sql", {"query": HEAVY, "query_id": query_id})) for _ in range(3)
        ]
        await asyncio.sleep(1)
        assert (await third.call(f"/query/sql/{query_id}", method="DELETE")).status == 200
        async with asyncio.timeout(20):
            assert {answer.status for answer in await asyncio.gather(*named)} <= {400, 409}
        begun = time.monotonic()
        assert (await other.call("/query/sql", LIGHT)).json["data"] == [[1]]
        assert (await other.call("/query/events", {"table": "track"})).status == 200
        assert time.monotonic() - begun < 20
    finally:
        for task in heavy:
            task.cancel()
        await asyncio.wait(heavy)
    # Whoever went away has left the line, and the engine works for them no more.
    async with asyncio.timeout(20):
        while (await api.call("/query/sql", LIGHT)).status != 200:
            await asyncio.sleep(0.2)


async def test_whoever_waits_too_long_is_told_when_to_come_back(infra: Settings) -> None:
    async with resources_of(infra) as resources:
        workspace = uuid.uuid4()
        heavy = [asyncio.create_task(ask(resources, workspace, HEAVY)) for _ in range(2)]
        await asyncio.sleep(0.5)
        assert (await ask(resources, workspace, "SELECT 1", seconds=0.5)).status == 429
        assert (await ask(resources, uuid.uuid4(), "SELECT 1", seconds=20)).status == 200
        for task in heavy:
            task.cancel()
        await asyncio.wait(heavy)


@pytest.mark.parametrize("format_", ["json", "csv"])
async def test_a_place_is_held_to_the_end_of_the_answer_and_no_longer(infra: Settings, format_: Format) -> None:
    async with resources_of(infra) as resources:
        workspace = uuid.uuid4()
        for _ in range(6):
            assert (await ask(resources, workspace, "SELECT 1", format=format_, seconds=20)).status == 200
            assert (await ask(resources, workspace, "SELECT file('x')", format=format_)).status == 400
            assert (await ask(resources, workspace, "SELECT toUInt8('x')", format=format_)).status == 400
