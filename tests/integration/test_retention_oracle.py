"""Random histories and requests over HTTP: every cell, every average and every list of actors is what the definition
says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.analyses import ask, everyone, key_of, write_many
from tests.api import Api, stamp
from tests.oracle import retention as oracle
from tests.oracle.events import Event
from tests.oracle.histories import history
from tests.oracle.retention import Triangle
from tests.platform import Platform

DAY = 86_400_000
HISTORIES = 130
"""Independent of each other, in one workspace."""
REQUESTS = 3
PLACES = (
    ("UTC", datetime(2026, 2, 26, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 26, 12, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2025, 10, 23, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 2, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 27, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 1, 28, tzinfo=UTC)),
)
"""Zones, and when histories begin: near a change of the clocks, or a month's end."""
PREDICATES: tuple[dict[str, Any], ...] = (
    {"op": "eq", "field": "properties.x", "value": "a"},
    {"op": "exists", "field": "properties.n"},
    {"op": "not_exists", "field": "properties.x"},
    {"op": "neq", "field": "context.locale", "value": "de"},
    {"op": "neq", "field": "anonymous_id", "value": "h1-a0"},
    {"op": "within_last", "field": "timestamp", "value": "3d"},
)


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def some_series(rng: Random, *, occurrences: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {"occurrence": rng.choice(occurrences)}
    if rng.random() < 0.5:
        made["table"] = rng.choice(("track", "page", "any", ["track", "page"]))
    if rng.random() < 0.7:
        made["names"] = rng.sample("abc", rng.randint(1, 2))
    if rng.random() < 0.25:
        made["where"] = rng.choice(PREDICATES)
    if made["occurrence"] != "any" and rng.random() < 0.5:
        made["having"] = rng.choice(PREDICATES)
    return made


def some_request(rng: Random, days: float) -> dict[str, Any]:
    first_time = rng.random() < 0.3
    made: dict[str, Any] = {
        "start": some_series(rng, occurrences=("first",) if first_time else ("any", "any", "any", "first", "last")),
        "cohorts": "first_time" if first_time else "recurring",
        "period": rng.choice(("hour", "day", "day", "week", "month") if days < 10 else ("day", "day", "week", "month")),
        "periods": rng.choice((1, 2, 3, 6, 40)),
        "range": rng.choice(("starts", "starts", "all")),
        "week_start": rng.choice(("monday", "sunday")),
        "analyse_by": rng.choice(
            ("actor", "actor", "actor", "user_id", "anonymous_id", "group_id", "properties.order")
        ),
    }
    if first_time and rng.random() < 0.7:
        made["start"] = {name: value for name, value in made["start"].items() if name not in ("occurrence", "having")}
    if rng.random() < 0.7:
        made["return"] = some_series(rng, occurrences=("any", "any", "any", "first", "last"))
    if rng.random() < 0.25:
        made["where"] = rng.choice(PREDICATES)
    if rng.random() < 0.3:
        made["cells"] = "rolling"
    elif rng.random() < 0.4:
        made["brackets"] = [rng.choice((1, 2, 3, 7)) for _ in range(rng.randint(1, 3))]
        del made["periods"]
    if rng.random() < 0.25:
        made["on_or_after"] = True
    elif rng.random() < 0.4:
        made["min_occurrences"] = rng.choice((2, 3))
    if rng.random() < 0.35 and made.get("cells") != "rolling":
        made["measure"] = {"kind": rng.choice(("sum", "mean")), "field": "properties.n"}
    if rng.random() < 0.4:
        # The tables of starts and returns must have the fields, but for those that are objects of some only.
        field = rng.choice(("context.locale", "context.page.path", "user_id"))
        shared = [field, {"kind": "buckets", "field": "context.groupId", "bounds": [0, 2.5]}]
        both = not {"identify", "group"} & set(made["start"].get("table", "track"))
        parts = [
            *shared,
            *(["properties.x", {"kind": "buckets", "field": "properties.n", "bounds": [1, 10]}] if both else []),
        ]
        made["breakdown"] = {"by": rng.sample(parts, rng.randint(1, 2)), "limit": rng.choice((1, 2, 4, 25))}
        made["breakdown"]["holding"] = rng.random() < 0.4
    return made


def expected(triangle: Triangle, kind: str | None) -> list[dict[str, Any]]:
    """Return the answer's `data`, but for labels."""
    data = []
    for group in triangle.groups:
        rows = [_row(triangle, group, row, kind) for row in range(len(triangle.rows))]
        averages = [_averages(rows, column, "rates") for column in range(len(triangle.columns))]
        made: dict[str, Any] = {
            "group": {"values": [], "other": True} if group == "other" else {"values": list(group), "other": False},
            "rows": rows,
            "mean": [mean for mean, _ in averages],
            "median": [median for _, median in averages],
        }
        values = [_averages(rows, column, "values") for column in range(len(triangle.columns))]
        made["mean_values"] = [mean for mean, _ in values] if kind else None
        made["median_values"] = [median for _, median in values] if kind else None
        data.append(made)
    return data


def _row(triangle: Triangle, group: Any, row: int, kind: str | None) -> dict[str, Any]:
    counts: list[int | None] = []
    values: list[float | None] = []
    for column in range(len(triangle.columns)):
        if triangle.states[row, column] == "null":
            counts.append(None)
            values.append(None)
            continue
        count = len(triangle.members.get((group, row, column), ()))
        total = triangle.sums.get((group, row, column), 0.0)
        counts.append(count)
        values.append(total if kind == "sum" else total / count if count else None)
    return {
        "size": counts[0],
        "counts": counts,
        "rates": [count / counts[0] if counts[0] and count is not None else None for count in counts],
        "values": values if kind else None,
        "incomplete": [triangle.states[row, column] == "running" for column in range(len(triangle.columns))],
    }


def _averages(rows: list[dict[str, Any]], column: int, of: str) -> tuple[float | None, float | None]:
    used = [
        (row["size"], row[of][column])
        for row in rows
        if row["size"] and row[of] is not None and row[of][column] is not None and not row["incomplete"][column]
    ]
    if not used:
        return None, None
    numbers = sorted(number for _, number in used)
    middle = (numbers[(len(numbers) - 1) // 2] + numbers[len(numbers) // 2]) / 2
    return sum(size * number for size, number in used) / sum(size for size, _ in used), middle


def close(left: Any, right: Any) -> bool:
    """Tell whether two answers are equal but for the last digits of sums."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(close, left, right))
    if isinstance(left, float) or isinstance(right, float):
        return left is not None and right is not None and left == pytest.approx(right, rel=1e-9, abs=1e-9)
    return bool(left == right)


@pytest.mark.timeout(400)
@settings(max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_every_cell_is_what_the_definition_says(
    platform: Platform, http: aiohttp.ClientSession, seed: int
) -> None:
    rng = Random(seed)
    api = Api(platform.settings, platform.url, uuid4(), http)
    zone, begin = rng.choice(PLACES)
    days = rng.choice((2.0, 4.0, 9.0, 40.0))
    events = [
        event
        for number in range(HISTORIES)
        for event in history(rng, people=2, events=10, start=begin, days=days, zone=zone, prefix=f"h{number}-")
    ]
    await write_many(api, {api.workspace: events})
    for _ in range(REQUESTS):
        await agrees(api, api.workspace, events, rng, zone=zone, begin=begin, days=days)


async def agrees(
    api: Api, workspace: UUID, events: list[Event], rng: Random, *, zone: str, begin: datetime, days: float
) -> None:
    earliest, span = round(begin.timestamp() * 1000), int(days * DAY)
    start = earliest + rng.choice((-DAY, 0, rng.randrange(span)))
    end = start + rng.choice((0, 1, span // 3, span, rng.randrange(span)))
    as_of = max(start, rng.choice((end, earliest + span, earliest + rng.randrange(2 * span), earliest + 3 * span)))
    request = some_request(rng, days)
    body = request | {"from": stamp(start), "to": stamp(end), "as_of": stamp(as_of), "timezone": zone}
    triangle = oracle.retention(
        request,
        events,
        workspace,
        start=start,
        end=end,
        as_of=as_of,
        zone=zone,
        week_start=request["week_start"],
    )
    answer = await ask(api, workspace, "/query/retention", body)
    wanted = expected(triangle, request.get("measure", {}).get("kind"))
    if "breakdown" not in request:
        wanted[0]["group"] = None
    labels = [[row.pop("start") for row in group["rows"]] for group in answer["data"]]
    assert close(answer["data"], wanted), (body, answer["data"], wanted)
    for of_group in labels:
        assert [round(datetime.fromisoformat(label).timestamp() * 1000) for label in of_group] == triangle.rows
    later = "on_or_after" in request
    assert answer["columns"] == [
        {"first": first, "last": None if later and k else last} for k, (first, last) in enumerate(triangle.columns)
    ]
    await lists_agree(api, workspace, body, answer, triangle, rng)


async def lists_agree(
    api: Api, workspace: UUID, body: dict[str, Any], answer: Any, triangle: Triangle, rng: Random
) -> None:
    """Open a cell of a row that is not empty, and any other."""
    cells = [
        (place, row, k)
        for place in range(len(triangle.groups))
        for (row, k), state in triangle.states.items()
        if state != "null"
    ]
    full = [cell for cell in cells if triangle.members.get((triangle.groups[cell[0]], cell[1], 0))]
    for place, row, k in [*rng.sample(full, min(1, len(full))), *rng.sample(cells, min(1, len(cells)))]:
        group = triangle.groups[place]
        cohort = triangle.members.get((group, row, 0), set())
        counted = triangle.members.get((group, row, k), set())
        retained = rng.random() < 0.6
        asked = {"query": body, "row": stamp(triangle.rows[row]), "k": k, "retained": retained}
        if "breakdown" in body:
            asked["group"] = answer["data"][place]["group"]
        wanted = counted if retained else cohort - counted
        limit = rng.choice((len(wanted) // 2 + 1, 1_000))
        listed = await everyone(api, workspace, "/query/retention/actors", asked, limit=limit)
        assert {key_of(entry) for entry in listed} == wanted, asked
