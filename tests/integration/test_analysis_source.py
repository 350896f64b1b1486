"""What analyses read, run on the engine: random series over awkward histories against tests/oracle/series.py."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from contracts.analysis import Breakdown, Series
from services.kit.clickhouse import ClickHouse
from services.kit.identity import actor_key_of
from services.kit.predicates import compile_field
from services.kit.settings import Settings
from services.kit.statements import limits
from services.query.analysis import breakdown, buckets
from services.query.analysis.source import Source, asked_of_all, tables_of
from services.query.analysis.subject import subject_of
from services.query.frame import Frame
from tests.api import insert
from tests.oracle import histories, series, session
from tests.oracle.events import Event

ZONE = "Europe/Berlin"
START = datetime(2024, 10, 24, tzinfo=UTC)
AS_OF = datetime(2024, 10, 30, 9, 30, 0, 500, tzinfo=UTC)
SUBJECTS = (
    "actor",
    "actor",
    "actor",
    "user_id",
    "anonymous_id",
    "group_id",
    "properties.order",
    "table",
    "session",
    "session",
)
TABLES: tuple[Any, ...] = ("track", "track", "page", "any", ["track", "page"], ["identify", "track"], "group")
WHERE: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {"op": "eq", "field": "properties.x", "value": "a"},
    {"op": "gte", "field": "properties.n", "value": 2},
    {"op": "neq", "field": "context.locale", "value": "de"},
    {"op": "not", "item": {"op": "exists", "field": "user_id"}},
    {"op": "in", "field": "event", "value": ["a", "c"]},
    {"op": "within_last", "field": "timestamp", "value": "3d"},
    {"op": "any", "field": "properties.products", "where": {"op": "eq", "field": "sku", "value": "p"}},
)
FIELDS = ("properties.x", "properties.n", "context.page.path", "event", "properties.products[].sku", "timestamp")


@pytest.fixture(scope="module")
async def clickhouse(infra: Settings) -> AsyncIterator[ClickHouse]:
    handle = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await handle.start()
    yield handle
    await handle.close()


def frame(workspace: UUID, start: datetime | None, end: datetime, tables: Any) -> Frame:
    return Frame(workspace=workspace, tables=tables, timezone=ZONE, as_of=AS_OF, start=start, end=end, pinned=True)


def history(rng: Random, **options: Any) -> list[Event]:
    return histories.history(rng, people=10, events=60, start=START, days=7, zone=ZONE, **options)


def random_series(rng: Random) -> dict[str, Any]:
    table = rng.choice(TABLES)
    occurrence = rng.choice(("any", "any", "first", "last"))
    found: dict[str, Any] = {"table": table, "occurrence": occurrence}
    if table not in ("group",):
        found["names"] = rng.choice(([], ["a"], ["a", "b"], ["b"]))
    if where := rng.choice(WHERE):
        found["where"] = where
    if occurrence != "any" and (having := rng.choice(WHERE)):
        found["having"] = having
    return found


def moment(rng: Random) -> datetime:
    return START + timedelta(milliseconds=rng.randrange(8 * 86_400_000), microseconds=rng.choice((0, 0, 1, 999)))


def milliseconds(at: datetime) -> float:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)


async def rows(clickhouse: ClickHouse, infra: Settings, statement: str) -> list[tuple[Any, ...]]:
    return list((await clickhouse.query(statement, settings=limits(infra), query_id=uuid4().hex, timeout=20)).rows())


@settings(max_examples=5, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_a_source_is_the_events_that_its_series_mean(clickhouse: ClickHouse, infra: Settings, seed: int) -> None:
    rng = Random(seed)
    workspace = uuid4()
    events = history(rng)
    async with aiohttp.ClientSession() as http:
        # In two parts, so that rows of one message also meet across parts.
        half = rng.randrange(len(events))
        await insert(infra, http, {workspace: events[:half]})
        await insert(infra, http, {workspace: events[half:]})
    for _ in range(20):
        wanted = [random_series(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
        by, where = rng.choice(SUBJECTS), rng.choice(WHERE)
        start, end = sorted((moment(rng), moment(rng)))
        distinct, every, resolved = (rng.random() < share for share in (0.7, 0.3, 0.7))
        field = rng.choice((None, *FIELDS))
        asked = tuple(msgspec.convert(one, Series) for one in wanted)
        source = Source(
            frame=frame(workspace, start, end, tables_of(asked)),
            subject=subject_of(by, ("track", "identify", "page", "group")),
            series=asked,
            start=start if rng.random() < 0.8 else None,
            end=end,
            where=asked_of_all(_predicate(where), frame(workspace, start, end, ()), include_internal=True),
            columns={"v": lambda scope, field=field: compile_field(field, scope, "/v").text} if field else {},
            distinct=distinct,
            every=every,
            resolved=resolved,
            pointers=tuple(f"/series/{number}" for number in range(len(asked))),
        )
        flags = ", ".join(f"s{number}" for number in range(len(asked)))
        key = source.subject.resolve("actor") if not resolved else "actor"
        statement = f"SELECT {key}, ts, mid, [{flags}]{', v' if field else ', NULL'} FROM ({source.sql()})"
        found = Counter(
            (key, ts, tuple(means), None if shown is None else shown.decode())
            for key, ts, _, means, shown in await rows(clickhouse, infra, statement)
        )
        expected = expectation(events, workspace, by, wanted, where, source, field, every=every)
        context = json.dumps([wanted, by, where, str(start), str(end), distinct, every, field])
        if not distinct and not source.needs_final:
            found, expected = Counter(set(found)), Counter(set(expected))
        if not distinct:
            # One event may come once for each series that means it.
            found, expected = merged(found), merged(expected)
        assert found == expected, context


def _predicate(where: dict[str, Any] | None) -> Any:
    return None if where is None else msgspec.convert({"table": "track", "where": where}, Series).where


def merged(found: Counter[Any]) -> Counter[Any]:
    together: dict[Any, list[int]] = {}
    for key, ts, means, shown in found:
        flags = together.setdefault((key, ts, shown), [0] * len(means))
        together[(key, ts, shown)] = [max(pair) for pair in zip(flags, means, strict=True)]
    return Counter((key, ts, tuple(means), shown) for (key, ts, shown), means in together.items())


def expectation(
    events: list[Event],
    workspace: UUID,
    by: str,
    wanted: list[dict[str, Any]],
    where: dict[str, Any] | None,
    source: Source,
    field: str | None,
    *,
    every: bool,
) -> Counter[Any]:
    pairs = series.keyed(events, workspace, "actor" if by == "session" else by)
    if by == "session":
        all_history = any(one["occurrence"] != "any" for one in wanted)
        start = None if all_history else source.start
        end = milliseconds(source.frame.history_end if all_history else source.end)
        pairs = session.keyed(
            pairs,
            seen=lambda event: (
                (start is None or event["timestamp"] >= milliseconds(start))
                and event["timestamp"] < end
                and (where is None or series.holds(where, event, as_of=AS_OF, zone=ZONE))
            ),
        )
    settled = {
        "where": where,
        "end_of_history": milliseconds(source.frame.history_end),
        "as_of": AS_OF,
        "zone": ZONE,
    }
    means = [series.meant(one, pairs, **settled) for one in wanted]
    found: Counter[Any] = Counter()
    for key, event in pairs:
        ts = event["timestamp"]
        if not ((source.start is None or ts >= milliseconds(source.start)) and ts < milliseconds(source.end)):
            continue
        flags = tuple(int(series.id_of(event) in ones) for ones in means)
        read = event["table"] in {table for one in wanted for table in series.tables_of(one)} and (
            where is None or series.holds(where, event, as_of=AS_OF, zone=ZONE)
        )
        if any(flags) or (every and read):
            shown = series.value(field, event) if field else None
            found[(number_of(workspace, key), ts, flags, shown)] += 1
    return found


def number_of(workspace: UUID, key: Any) -> Any:
    if len(key) == 3 and not isinstance(key, str):
        kind, id_, start = key
        return f"{actor_key_of(workspace, kind, id_)}:{session.milliseconds(datetime.fromisoformat(start))}".encode()
    return actor_key_of(workspace, *key) if isinstance(key, tuple) else key.encode()


async def test_bucket_values_of_breakdowns(clickhouse: ClickHouse, infra: Settings) -> None:
    sent = [None, "", "x", -1, 0, 9.99, 10, "10", "1e1", 10.5, 19, 20, "2000000", True, [12], {"a": 1}, 0.1, "-0.5"]
    workspace = uuid4()
    base = {"table": "track", "user_id": "u", "timestamp": 1_730_000_000_000, "received_at": 1_730_000_000_000}
    events = [
        base | {"message_id": f"m{number}", "event": str(number), "properties": {"v": value}}
        for number, value in enumerate(sent)
    ]
    async with aiohttp.ClientSession() as http:
        await insert(infra, http, {workspace: events})
    settled = frame(workspace, START, AS_OF, ("track",))
    split = msgspec.convert(
        {"by": [{"kind": "buckets", "field": "properties.v", "bounds": [0, 0.1, 10, 20]}, "properties.v"]}, Breakdown
    )
    breakdown.check_breakdown(split, ("track",))
    bucket, plain = breakdown.values(split, settled.scope("track"))
    found = await rows(
        clickhouse,
        infra,
        f"SELECT {bucket}, {plain} FROM events_track WHERE workspace_id = '{workspace}' ORDER BY toUInt32(event)",
    )
    expected = [
        (None, None), (None, None), (None, "x"), ("<0", "-1"), ("0..0.1", "0"), ("0.1..10", "9.99"), ("10..20", "10"),
        ("10..20", "10"), ("10..20", "1e1"), ("10..20", "10.5"), ("10..20", "19"), (">=20", "20"),
        (">=20", "2000000"), (None, "true"), (None, "[12]"), (None, '{"a":1}'), ("0.1..10", "0.1"), ("<0", "-0.5"),
    ]  # fmt: skip
    texts = [tuple(None if value is None else value.decode() for value in row) for row in found]
    assert texts == expected


@pytest.mark.parametrize("interval", ["minute", "hour", "day", "week", "month"])
@pytest.mark.parametrize(
    ("zone", "start"), [(ZONE, datetime(2024, 10, 26, 22, tzinfo=UTC)), ("UTC", datetime(1969, 12, 31, tzinfo=UTC))]
)
async def test_the_engine_finds_the_bucket_of_a_time(
    clickhouse: ClickHouse, infra: Settings, interval: Any, zone: str, start: datetime
) -> None:
    end = start + timedelta(hours=40)
    bounds = buckets.bounds(start, end, interval, timezone=zone, week_start="monday")
    times = [round(milliseconds(start)) + step for step in range(0, 40 * 3_600_000, 613_417)]
    times += [round(milliseconds(bound)) + step for bound in bounds[:-1] for step in (0, 1)]
    listed = f"arrayJoin([{', '.join(f'toInt64({time})' for time in times)}]) AS ts"
    found = await rows(
        clickhouse,
        infra,
        f"SELECT ts, {buckets.start_of('ts', bounds)}, {buckets.index_of('ts', bounds)} FROM (SELECT {listed})",
    )
    assert len(found) == len(times)
    instants = [round(milliseconds(bound)) for bound in bounds]
    for ts, first, index in found:
        assert instants[index] == first <= ts
        assert index + 1 == len(instants) or ts < instants[index + 1]
