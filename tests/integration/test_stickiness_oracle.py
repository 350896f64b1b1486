"""Random histories and requests over HTTP: every count, group and list of a stickiness is what the oracle says."""

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
from tests.oracle.stickiness import Range, Stickiness
from tests.platform import Platform

LETTERS = "AB"


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def check_periods(found: list[dict[str, Any]], range_: Range, asked: Question) -> None:
    assert [datetime.fromisoformat(period["start"]) for period in found] == range_.bounds[:-1], asked.request
    assert [period["incomplete"] for period in found] == asked.incomplete(range_.bounds), asked.request


def check_counts(found: Mapping[str, Any], range_: Range, series: Stickiness, group: Any, why: Any) -> None:
    numbers = series.numbers(range_, group)
    counts = [len(series.keys(range_, n, group)) for n in range(1, len(range_.bounds))]
    assert (found["actors"], found["counts"]) == (len(numbers), counts), why
    if numbers:
        assert found["rates"] == pytest.approx([count / len(numbers) for count in counts]), why
        assert found["mean"] == pytest.approx(sum(numbers) / len(numbers)), why
    else:
        assert (found["mean"], found["rates"]) == (None, [None] * len(counts)), why


def check(found: Mapping[str, Any], means: list[Stickiness], asked: Question) -> None:
    check_periods(found["periods"], means[0].current, asked)
    if means[0].compared is None:
        assert found["compared"] is None
    else:
        check_periods(found["compared"], means[0].compared, asked)
    lines = [(number, group) for number, series in enumerate(means) for group in series.groups]
    assert [(line["series"], line["group"]) for line in found["data"]] == [
        (LETTERS[number], shown(group)) for number, group in lines
    ], asked.request
    for line, (number, group) in zip(found["data"], lines, strict=True):
        series, why = means[number], (number, group, asked.request)
        check_counts(line, series.current, series, group, why)
        assert (line["compared"] is None) == (series.compared is None)
        if series.compared is not None:
            check_counts(line["compared"], series.compared, series, group, why)


async def check_actors(api: Api, rng: Random, means: list[Stickiness], asked: Question) -> None:
    number = rng.randrange(len(means))
    series = means[number]
    compared = series.compared is not None and rng.random() < 0.5
    range_ = series.compared if compared and series.compared is not None else series.current
    size = len(range_.bounds) - 1
    if not size or not series.groups:
        return
    n, group = rng.randrange(1, min(size, 4) + 1), rng.choice([None, *series.groups])
    body: dict[str, Any] = {"query": asked.request, "series": LETTERS[number], "periods": n, "compared": compared}
    if group is not None:
        body["group"] = shown(group)
    listed = await everyone(api, api.workspace, "/query/stickiness/actors", body, limit=rng.choice((9, 1_000, 1_000)))
    assert {key_of(entry) for entry in listed} == series.keys(range_, n, group), body


@settings(max_examples=8, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_stickiness_is_as_defined(platform: Platform, http: aiohttp.ClientSession, seed: int) -> None:
    rng = Random(seed)
    api = Api(platform.settings, platform.url, uuid4(), http)
    zone, first = rng.choice(ZONES)
    events = events_of(rng, zone, first)
    await write_many(api, {api.workspace: events})
    for _ in range(10):
        asked = question(rng, events, api.workspace, zone, first)
        asked.request["cumulative"] = rng.random() < 0.4
        if rng.random() < 0.5:
            asked.request["compare"] = {"offset": rng.choice(("previous", "previous", "-1m", "-3d", "-90min"))}
        means = [Stickiness(asked, number) for number in range(len(asked.request["series"]))]
        check(await ask(api, api.workspace, "/query/stickiness", asked.request), means, asked)
        await check_actors(api, rng, means, asked)
