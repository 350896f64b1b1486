"""Random histories and requests over HTTP: every count, group and list of a life cycle is what the oracle says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from random import Random
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.analyses import ask, everyone, key_of, write_many
from tests.api import Api
from tests.oracle.activity import Question
from tests.oracle.activity_samples import ZONES, events_of, question, shown
from tests.oracle.lifecycle import STATES, Lifecycle
from tests.platform import Platform

LETTERS = "AB"


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def check(found: Mapping[str, Any], means: list[Lifecycle], asked: Question) -> None:
    bounds = means[0].bounds
    assert [datetime.fromisoformat(period["start"]) for period in found["periods"]] == bounds[:-1], asked.request
    assert [period["incomplete"] for period in found["periods"]] == asked.incomplete(bounds), asked.request
    lines = [(number, group) for number, series in enumerate(means) for group in series.groups]
    assert [(line["series"], line["group"]) for line in found["data"]] == [
        (LETTERS[number], shown(group)) for number, group in lines
    ], asked.request
    for line, (number, group) in zip(found["data"], lines, strict=True):
        assert line["label"] == asked.request["series"][number].get("label", "")
        for state in STATES:
            counts = [len(means[number].keys(row, state, group)) for row in range(len(bounds) - 1)]
            assert line[state] == counts, (state, number, group, asked.request)


async def check_actors(api: Api, rng: Random, means: list[Lifecycle], asked: Question) -> None:
    number = rng.randrange(len(means))
    series = means[number]
    rows = len(series.bounds) - 1
    if not rows or not series.groups:
        return
    row, state, group = rng.randrange(rows), rng.choice(STATES), rng.choice([None, *series.groups])
    body: dict[str, Any] = {
        "query": asked.request,
        "series": LETTERS[number],
        "period": series.bounds[row].isoformat(),
        "state": state,
    }
    if group is not None:
        body["group"] = shown(group)
    listed = await everyone(api, api.workspace, "/query/lifecycle/actors", body, limit=rng.choice((9, 1_000, 1_000)))
    assert {key_of(entry) for entry in listed} == series.keys(row, state, group), body


@settings(max_examples=8, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_life_cycles_are_as_defined(platform: Platform, http: aiohttp.ClientSession, seed: int) -> None:
    rng = Random(seed)
    api = Api(platform.settings, platform.url, uuid4(), http)
    zone, first = rng.choice(ZONES)
    events = events_of(rng, zone, first)
    await write_many(api, {api.workspace: events})
    for _ in range(10):
        asked = question(rng, events, api.workspace, zone, first)
        means = [Lifecycle(asked, number) for number in range(len(asked.request["series"]))]
        check(await ask(api, api.workspace, "/query/lifecycle", asked.request), means, asked)
        await check_actors(api, rng, means, asked)
