"""Random histories and requests over HTTP: every value, total, group, comparison and list is what the oracle says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.analyses import ask, everyone, key_of, write_many
from tests.api import Api
from tests.oracle import trends as oracle
from tests.oracle.events import Event
from tests.oracle.histories import history
from tests.oracle.trends import Line, Number, Period, Trends
from tests.platform import Platform

pytestmark = pytest.mark.timeout(300)
ZONES = (
    ("UTC", datetime(2024, 2, 20, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 3, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 10, 29, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 1, tzinfo=UTC)),
    ("America/Havana", datetime(2024, 10, 30, tzinfo=UTC)),
)
FORMULAS: tuple[tuple[str, Callable[[Mapping[str, Any]], Any]], ...] = (
    ("A / B", lambda v: v["A"] / v["B"]),
    ("(A - B) * 2.5", lambda v: (v["A"] - v["B"]) * 2.5),
    ("-A + 100*B/A", lambda v: -v["A"] + 100 * v["B"] / v["A"]),
)
MEASURES = (
    "total", "actors", "per_actor", "sessions",
    "sum", "avg", "min", "max", "median", "p90", "p95", "p99", "unique",
    "wau", "mau",
)  # fmt: skip
FIELD_MEASURES = MEASURES[4:13]
FIELDS = ("properties.n", "properties.n", "properties.x", "properties.products[].price", "context.page.path")
PARTS: tuple[Any, ...] = (
    "properties.x",
    "context.locale",
    "properties.products[].sku",
    {"kind": "buckets", "field": "properties.n", "bounds": [1, 2.5, 100]},
    "user_id",
)
KEYS = ("actor", "actor", "actor", "actor", "user_id", "anonymous_id", "session", "context.locale")
WHERE = (
    {"op": "exists", "field": "properties.n"},
    {"op": "not", "item": {"op": "eq", "field": "context.locale", "value": "de"}},
    {"op": "neq", "field": "user_id", "value": "u1"},
)


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def series(rng: Random) -> dict[str, Any]:
    measure = rng.choice(MEASURES)
    found: dict[str, Any] = {"measure": measure}
    if measure in FIELD_MEASURES:
        found["field"] = rng.choice(FIELDS)
    found["table"] = rng.choice(("track", "track", "page", ["track", "page"], "any"))
    if found.get("field", "").startswith("properties") and found["table"] == "identify":
        found["table"] = "track"
    if rng.random() < 0.4 and found["table"] != "identify":
        found["names"] = rng.sample(("a", "b", "c"), rng.choice((1, 2)))
    if rng.random() < 0.3:
        found["where"] = rng.choice(WHERE)
    if rng.random() < 0.25:
        found["occurrence"] = rng.choice(("first", "last"))
        if rng.random() < 0.5:
            found["having"] = rng.choice(WHERE)
    return found


@dataclass(frozen=True)
class Asked:
    """A request and what the oracle needs of it besides."""

    body: dict[str, Any]
    start: datetime
    end: datetime
    as_of: datetime
    formula: Callable[[Mapping[str, Any]], Any] | None

    def means(self, events: list[Event], workspace: Any) -> Trends:
        return Trends(
            self.body, events, workspace, start=self.start, end=self.end, as_of=self.as_of, formula=self.formula
        )


def request(rng: Random, zone: str, first: datetime, days: int) -> Asked:
    interval = rng.choice(("minute", "hour", "hour", "day", "day", "day", "week", "month"))
    span = {"minute": 0.2, "hour": 2.0}.get(interval, float(days))
    start = first + timedelta(minutes=rng.randrange(-1440, days * 1440 // 2))
    if rng.random() < 0.5:
        local = start.astimezone(ZoneInfo(zone))
        start = local.replace(hour=0, minute=0, fold=0).astimezone(UTC)
    end = start + timedelta(minutes=rng.randrange(1, int(span * 1440)))
    as_of = rng.choice((end, start + (end - start) / 2, end + timedelta(days=3))).replace(microsecond=0)
    body: dict[str, Any] = {
        "series": [series(rng) for _ in range(rng.choice((1, 1, 2, 3)))],
        "interval": interval,
        "from": start.isoformat(),
        "to": end.isoformat(),
        "as_of": as_of.isoformat(),
        "timezone": zone,
        "week_start": rng.choice(("monday", "sunday")),
        "analyse_by": rng.choice(KEYS),
    }
    if body["analyse_by"] not in ("actor", "session"):
        body["series"] = [
            one | ({"measure": "actors"} if one["measure"] == "sessions" else {}) for one in body["series"]
        ]
    formula = None
    if len(body["series"]) > 1 and rng.random() < 0.6:
        body["formula"], formula = rng.choice(FORMULAS)
    if rng.random() < 0.4:
        body["compare"] = {"offset": rng.choice(("previous", "previous", "-1m", "-3d", "-90min"))}
    if rng.random() < 0.3 and not any(one["measure"] in ("wau", "mau") for one in body["series"]):
        body["cumulative"] = True
    if rng.random() < 0.3:
        body["where"] = rng.choice(WHERE)
    return Asked(body, start, end, as_of, formula)


def same(found: Number, expected: Number) -> bool:
    if found is None or expected is None or isinstance(expected, int):
        return found == expected
    return found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def shown(group: oracle.Group) -> dict[str, Any] | None:
    if group is None:
        return None
    if isinstance(group, str):
        return {"values": [], "other": True}
    return {"values": list(group), "other": False}


def check_line(found: Mapping[str, Any], expected: Line, why: Any) -> None:
    assert len(found["values"]) == len(expected.values), why
    for index, (one, wanted) in enumerate(zip(found["values"], expected.values, strict=True)):
        assert same(one, wanted), (index, one, wanted, why)
    assert same(found["total"], expected.total), (found["total"], expected.total, why)


def check_buckets(found: list[dict[str, Any]], period: Period, means: Trends) -> None:
    assert [datetime.fromisoformat(bucket["start"]) for bucket in found] == list(period.bounds[:-1])
    assert [bucket["incomplete"] for bucket in found] == means.incomplete(period)


def check_answer(found: Mapping[str, Any], means: Trends) -> None:
    body = means.request
    letters = oracle.LETTERS[: len(body["series"])]
    check_buckets(found["buckets"], means.current, means)
    names = [*letters, *(["formula"] if means.formula else [])]
    wanted = [(name, shown(group)) for name in names for group in means.groups]
    assert [(line["series"], line["group"]) for line in found["data"]] == wanted, body
    for line, (name, group) in zip(
        found["data"], [(name, group) for name in names for group in means.groups], strict=True
    ):
        for period, numbers in zip(means.periods, [line, line["compared"]], strict=False):
            if name == "formula":
                expected = means.computed(group, period)
            else:
                expected = means.line(letters.index(name), group, period)
            check_line(numbers, expected, (name, group, period, body))
    if means.compared is None:
        assert found["compared"] is None
    else:
        check_buckets(found["compared"], means.compared, means)


async def check_actors(api: Api, rng: Random, found: Mapping[str, Any], means: Trends) -> None:
    number = rng.randrange(len(means.request["series"]))
    group = rng.choice(means.groups or [None])
    period = rng.choice(means.periods)
    size = len(period.bounds) - 1
    bucket = rng.choice((None, rng.randrange(size)))
    asked: dict[str, Any] = {"query": means.request, "series": oracle.LETTERS[number]}
    if "breakdown" in means.request and not means.groups:
        return
    if group is not None:
        asked["group"] = shown(group)
    if bucket is not None:
        asked["bucket"] = period.bounds[bucket].isoformat()
    if period is not means.current:
        asked["compared"] = True
    listed = await everyone(api, api.workspace, "/query/trends/actors", asked, limit=rng.choice((2, 100)))
    assert {key_of(entry) for entry in listed} == means.actors(number, group, period, bucket), asked


@settings(max_examples=18, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_requests_of_all_kinds_answer_as_defined(
    platform: Platform, http: aiohttp.ClientSession, seed: int
) -> None:
    rng = Random(seed)
    zone, first = rng.choice(ZONES)
    api = Api(platform.settings, platform.url, uuid4(), http)
    events = history(rng, people=5, events=40, start=first, days=12, zone=zone)
    await write_many(api, {api.workspace: events})
    for _ in range(3):
        asked = request(rng, zone, first, 12)
        if rng.random() < 0.5:
            parts = rng.sample(PARTS, rng.choice((1, 1, 2)))
            asked.body["breakdown"] = {"by": parts, "limit": rng.choice((1, 2, 25))}
        means = asked.means(events, api.workspace)
        found = await ask(api, api.workspace, "/query/trends", asked.body)
        check_answer(found, means)
        await check_actors(api, rng, found, means)


@settings(max_examples=8, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_each_of_many_histories_is_answered_as_if_it_were_alone(
    platform: Platform, http: aiohttp.ClientSession, seed: int
) -> None:
    rng = Random(seed)
    zone, first = rng.choice(ZONES)
    api = Api(platform.settings, platform.url, uuid4(), http)
    events = []
    for number in range(250):
        one = history(rng, people=2, events=rng.randrange(1, 12), start=first, days=6, zone=zone, prefix=f"h{number}-")
        events += [event | {"context": event["context"] | {"case": f"h{number}"}} for event in one]
    await write_many(api, {api.workspace: events})
    for _ in range(2):
        asked = request(rng, zone, first, 6)
        asked.body["breakdown"] = {"by": ["context.case"], "limit": 1_000}
        if asked.body["interval"] == "minute":
            asked.body["interval"] = "day"
        means = asked.means(events, api.workspace)
        check_answer(await ask(api, api.workspace, "/query/trends", asked.body), means)
