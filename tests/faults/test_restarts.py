"""What restarts by itself, or is restarted in turn, under load."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import aiohttp
import pytest

from deploy.embedded.process import started_at
from tests.api import Api
from tests.faults.accepted import accepting
from tests.faults.load import under_load
from tests.faults.world import World
from tests.fleet import Fleet, eventually, fleet

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", ["query", "gateway", "nats", "redis", "postgres", "clickhouse"])
async def test_what_is_killed_under_load_is_back_within_seconds_and_nothing_else_is_touched(
    supervised: Fleet, supervised_api: Api, workspace: UUID, name: str
) -> None:
    before, settings = supervised.pids, supervised.settings
    refusals = name == "gateway"
    async with accepting(supervised_api, workspace) as accepted, under_load(supervised_api, refusals=refusals) as load:
        killed = supervised.kill(name)
        begun = time.monotonic()
        await asyncio.to_thread(
            eventually, lambda: supervised.pids.get(name, killed) != killed and supervised.is_ready(), 120
        )
        ready = time.monotonic()
        recovered = await load.calm(ready)
    print(f"{name}: {load.statuses()}, ready after {ready - begun:.1f} s, well {recovered:.1f} s later")
    assert load.wrong(allowed=(200,) if name == "redis" else (200, 503, 504)) == []
    others = {other: pid for other, pid in supervised.pids.items() if other != name}
    assert others == {other: pid for other, pid in before.items() if other != name}, "no other process dies"
    assert supervised.settings == settings, "same ports"
    await accepted.check()


async def test_a_rolling_restart_of_two_query_replicas_fails_no_request(parts: World, parts_api: Api) -> None:
    platform = parts.platform
    platform.start("query 2", "services.query.main")
    known: set[str] = set()
    await _joined(parts_api, known, 2)
    async with under_load(parts_api, clients=9, streams=3) as load:
        for old, new in (("query", "query 3"), ("query 2", "query")):
            assert await asyncio.to_thread(platform.stop, old) == 0
            platform.start(new, "services.query.main")
            await _joined(parts_api, known, 1)
        await load.calm(time.monotonic())
    assert await asyncio.to_thread(platform.stop, "query 3") == 0
    print(f"rolling restart: {load.statuses()}")
    assert load.wrong(allowed=(200,)) == []
    uncached = [sample for sample in load.samples if not sample.cached]
    assert len(uncached) > 50, "there was load"


async def _joined(api: Api, known: set[str], count: int) -> None:
    """Wait until so many query services more than those known have said that they are ready, and know them. Not all at
    the same time: under load one or the other has a server that takes a quarter of a second to answer."""
    wanted, deadline = len(known) + count, time.monotonic() + 90
    while len(known) < wanted:
        ready = (await api.call("/ready", method="GET")).json
        known |= {replica["instance"] for replica in ready["services"]["query"]["replicas"] if replica["ready"]}
        assert time.monotonic() < deadline, ready
        await asyncio.sleep(0.1)


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
            print(f"ready {time.monotonic() - begun:.1f} s after the start that followed a SIGKILL")
            assert all(started_at(pid) is None for pid in children.values()), "it takes its children along"
            done = await asyncio.to_thread(restarted.command, "clickhouse", "status")
            assert done.returncode == 0, done.stderr
            # The servers choose their ports at each start: the usual ones may be taken now, or free again.
            accepted.api = Api(restarted.settings, url, workspace, http)
            await accepted.check()
