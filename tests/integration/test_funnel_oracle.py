"""Random funnels over random histories through the public API: every number, and the actors behind it, are what trying
every choice of events finds (tests/oracle/funnel.py).

`CDP_FUNNEL_EXAMPLES` asks for more than the suite does: each is two workspaces of 120 histories, and five requests a
workspace.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from random import Random
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.analyses import ask, everyone, key_of, write_many
from tests.api import Api
from tests.oracle import funnel_answer, funnel_samples
from tests.oracle.funnel import Funnel
from tests.oracle.funnel_samples import World
from tests.oracle.series import Key
from tests.platform import Platform

EXAMPLES = int(os.environ.get("CDP_FUNNEL_EXAMPLES", "3"))
WORKSPACES, HISTORIES, REQUESTS = 2, 120, 5


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.timeout(60 + 30 * EXAMPLES)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_funnels_are_what_trying_every_choice_of_events_finds(
    platform: Platform, http: aiohttp.ClientSession, seed: int
) -> None:
    rng = Random(seed)
    worlds = [funnel_samples.world(rng, count=HISTORIES) for _ in range(WORKSPACES)]
    api = Api(platform.settings, platform.url, UUID(int=0), http)
    await write_many(api, {world.workspace: world.events for world in worlds})
    for world in worlds:
        put = await Api(platform.settings, platform.url, world.workspace, http).call(
            "/workspace", world.settings, method="PUT"
        )
        assert put.status == 200, put.body
        for _ in range(REQUESTS):
            await agrees(api, world, funnel_samples.funnel(rng, world), rng)


async def agrees(api: Api, world: World, funnel: Funnel, rng: Random) -> None:
    """Hold an answer, and the list behind one of its numbers, against the oracle."""
    request = dict(funnel.request)
    answer, expected = await asyncio.gather(
        ask(api, world.workspace, "/query/funnel", request), asyncio.to_thread(funnel_answer.data, funnel)
    )
    assert different(answer["data"], expected, "") is None, (different(answer["data"], expected, ""), request)
    if numbers := numbers_of(funnel):
        few = rng.sample(numbers, min(3, len(numbers)))
        await lists(api, world, funnel, max(few, key=lambda number: len(behind(funnel, number))))


def numbers_of(funnel: Funnel) -> list[dict[str, Any]]:
    """Return the parts of a list's request that say which number of the answer it is behind: of each group and of one
    interval of the trend."""
    points = [None, *range(len(funnel.intervals[1:]))]
    return [
        {"place": place, "step": step, "dropped": dropped, "point": point}
        for place in range(len(funnel.parts))
        for point in (points[0], *points[1:][:3], *points[-1:])
        for step in range(1, funnel.rules.steps + 1)
        for dropped in ((False, True) if step > 1 else (False,))
    ]


def behind(funnel: Funnel, number: dict[str, Any]) -> set[Key]:
    """Return the actors that a number counts."""
    group = funnel.parts[number["place"]].group
    return funnel.listed(number["step"], dropped=number["dropped"], group=group, point=number["point"])


async def lists(api: Api, world: World, funnel: Funnel, number: dict[str, Any]) -> None:
    """Hold a list of actors, page after page, against the oracle."""
    part, point = funnel.parts[number["place"]], number["point"]
    asked: dict[str, Any] = {"query": dict(funnel.request), "step": number["step"], "dropped": number["dropped"]}
    if part.group is not None:
        asked["group"] = part.group.json
    if point is not None:
        asked["interval"] = funnel_answer.label(funnel.intervals[point], funnel.zone)
    expected = behind(funnel, number)
    found = await everyone(api, world.workspace, "/query/funnel/actors", asked, limit=max(1, len(expected) * 2 // 3))
    assert {key_of(entry) for entry in found} == expected, asked


def different(found: Any, expected: Any, at: str) -> str | None:
    """Say where two JSON values differ first, None if nowhere; seconds and rates may in their last digits."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return None if math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9) else f"{at}: {found}, not {expected}"
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        differences = (different(found[key], expected[key], f"{at}/{key}") for key in expected)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        differences = (
            different(*pair, f"{at}/{place}") for place, pair in enumerate(zip(found, expected, strict=True))
        )
    else:
        return None if found == expected else f"{at}: {found}, not {expected}"
    return next((difference for difference in differences if difference is not None), None)
