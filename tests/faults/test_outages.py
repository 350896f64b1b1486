"""A part is killed under load and stays away for some seconds."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import pytest

from tests.api import Api
from tests.faults.accepted import accepting
from tests.faults.load import under_load
from tests.faults.world import World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_AWAY_SECONDS = 2.0


@pytest.mark.parametrize("name", ["query", "gateway", "nats", "redis", "postgres", "clickhouse"])
async def test_without_a_part_answers_are_right_or_503_and_all_is_well_soon_after_it_returns(
    parts: World, parts_api: Api, workspace: UUID, name: str
) -> None:
    before = parts.pids()
    async with accepting(parts_api, workspace) as accepted, under_load(parts_api, refusals=name == "gateway") as load:
        killed = time.monotonic()
        await parts.kill(name)
        await asyncio.sleep(_AWAY_SECONDS)
        assert parts.alive() == set(before) - {name}, "no other process dies"
        back = await parts.bring_back(name)
        recovered = await load.calm(back)
    print(f"{name}: {load.statuses()}, well {recovered:.1f} s after it was back")
    if name == "redis":
        assert load.wrong(allowed=(200,)) == [], "the cache's second level costs time, never an answer"
    else:
        assert load.wrong() == []
        failed = [sample for sample in load.samples if sample.status != 200]
        assert failed, "it was needed"
        assert all(sample.asked + sample.seconds > killed for sample in failed), "all was well before"
    assert {other: pid for other, pid in parts.pids().items() if other != name} == {
        other: pid for other, pid in before.items() if other != name
    }
    await accepted.check()
