"""What restarts by itself, or is restarted in turn, under load."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import aiohttp
import pytest

from tests.api import Api
from tests.faults.accepted import accepting
from tests.faults.load import under_load
from tests.faults.world import World
from tests.fleet import Fleet, eventually, fleet

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("name", ["query", "gateway", "nats", "redis", "postgres", "clickhouse"])
async def test_what_is_killed_under_load_is_back_within_seconds_and_nothing_else_is_touched(
    supervised: Fleet, supervised_api: Api, workspace: UUID, name: str
) -> None:
    before = supervised.pids
    refusals = name == "gateway"
    async with accepting(supervised_api, workspace) as accepted, under_load(supervised_api, refusals=refusals) as load:
        killed = supervised.kill(name)
        begun = time.monotonic()
        await asyncio.to_thread(
            eventually, lambda: supervised.pids.get(name, killed) != killed and supervised.is_ready(), 20
        )
        ready = time.monotonic()
        recovered = await load.calm(ready)
    print(f"{name}: {load.statuses()}, ready after {ready - begun:.1f} s, well {recovered:.1f} s later")
    assert load.wrong(allowed=(200,) if name == "redis" else (200, 503, 504)) == []
    others = {other: pid for other, pid in supervised.pids.items() if other != name}
    assert others == {other: pid for other, pid in before.items() if other != name}, "no other process dies"
    await accepted.check()


async def test_a_rolling_restart_of_two_query_replicas_fails_no_request(parts: World, parts_api: Api) -> None:
    platform = parts.platform
    platform.start("query 2", "services.query.main")
    await _replicas(parts_api, 2)
    async with under_load(parts_api, clients=9, streams=3) as load:
        for old, new in (("query", "query 3"), ("query 2", "query")):
            assert await asyncio.to_thread(platform.stop, old) == 0
            platform.start(new, "services.query.main")
            await _replicas(parts_api, 2)
        await load.calm(time.monotonic())
    assert await asyncio.to_thread(platform.stop, "query 3") == 0
    print(f"rolling restart: {load.statuses()}")
    assert load.wrong(allowed=(200,)) == []
    uncached = [sample for sample in load.samples if not sample.cached]
    assert len(uncached) > 50, "there was load"


async def _replicas(api: Api, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ready = (await api.call("/ready", method="GET")).json
        replicas = ready["services"]["query"]["replicas"]
        if len(replicas) == count and all(replica["ready"] for replica in replicas):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"not {count} replicas: {ready}")


async def test_a_killed_supervisor_loses_nothing_and_starts_again(
    tmp_path_factory: pytest.TempPathFactory, workspace: UUID
) -> None:
    with fleet(tmp_path_factory.mktemp("fleet") / "home") as restarted:
        restarted.start()
        await asyncio.to_thread(restarted.wait_ready)
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{restarted.settings.api_port}"
            api = Api(restarted.settings, url, workspace, http)
            async with accepting(api, workspace) as accepted:
                while not (accepted.rows and accepted.messages and accepted.setting):
                    await asyncio.sleep(0.1)
                children = restarted.pids
                assert restarted.process is not None
                restarted.process.kill()
                restarted.process.wait()
                await asyncio.sleep(0.5)
            begun = time.monotonic()
            restarted.start()
            await asyncio.to_thread(restarted.wait_ready)
            seconds = time.monotonic() - begun
            print(f"ready {seconds:.1f} s after the start that followed a SIGKILL")
            assert seconds < 15
            assert not set(children.values()) & set(restarted.pids.values())
            # The servers choose their ports at each start: the usual ones may be taken now, or free again.
            accepted.api = Api(restarted.settings, url, workspace, http)
            await accepted.check()
