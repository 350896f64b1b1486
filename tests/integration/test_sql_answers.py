"""Custom SQL: rows, formats, parameters, limits, errors."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pyarrow.ipc
import pyarrow.parquet
import pytest

from contracts.workspace import Limits, WorkspaceSettings
from services.kit.settings import Settings
from services.query import workspaces
from services.query.resources import Resources
from services.query.sql.checked import name_of
from tests.api import insert
from tests.custom_sql import ask, resources_of
from tests.integration.test_query_events import event


@pytest.fixture(scope="module")
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with resources_of(infra) as opened:
        yield opened


async def write(resources: Resources, workspace: UUID, *events: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as http:
        await insert(resources.settings, http, {workspace: events})


async def test_rows_come_with_columns_types_and_facts(resources: Resources, workspace: UUID) -> None:
    await write(resources, workspace, event(1, event="A", user_id="u"), event(2, event="B", user_id="u"))
    answer = await ask(
        resources, workspace, "SELECT event, count() AS n, actor FROM events_track GROUP BY ALL ORDER BY event"
    )
    assert answer.status == 200, answer.body
    body = answer.json
    assert body["columns"] == [
        {"name": "event", "type": "LowCardinality(String)"},
        {"name": "n", "type": "UInt64"},
        {"name": "actor", "type": "Tuple(kind String, id String)"},
    ]
    assert body["data"] == [["A", 1, {"kind": "user", "id": "u"}], ["B", 1, {"kind": "user", "id": "u"}]]
    assert body["truncated"] is False
    assert body["meta"]["rows_read"] >= 2


async def test_an_event_sent_twice_comes_once_and_an_anonymous_id_under_its_user(
    resources: Resources, workspace: UUID
) -> None:
    known = event(1, user_id="u", anonymous_id="x")
    await write(resources, workspace, known, event(2, user_id="", anonymous_id="x"))
    await write(resources, workspace, known)
    answer = await ask(resources, workspace, "SELECT actor.kind, actor.id, count() FROM events GROUP BY ALL")
    assert answer.json["data"] == [["user", "u", 2]]


async def test_every_format_carries_the_same_rows(resources: Resources, workspace: UUID) -> None:
    await write(resources, workspace, *(event(n, event=f"E{n}") for n in range(5)))
    query = "SELECT event, 9007199254740993 AS wide FROM events_track ORDER BY event"
    names = [f"E{n}" for n in range(5)]
    assert (await ask(resources, workspace, query)).json["data"] == [[name, "9007199254740993"] for name in names]
    lines = (await ask(resources, workspace, query, format="ndjson")).body.splitlines()
    assert [json.loads(line) for line in lines] == [{"event": name, "wide": "9007199254740993"} for name in names]
    text = (await ask(resources, workspace, query, format="csv")).body.decode()
    assert text.splitlines() == ['"event","wide"', *(f'"{name}",9007199254740993' for name in names)]
    parquet = pyarrow.parquet.read_table(io.BytesIO((await ask(resources, workspace, query, format="parquet")).body))
    arrow = pyarrow.ipc.open_stream((await ask(resources, workspace, query, format="arrow")).body).read_all()
    for table in (parquet, arrow):
        texts = [value if isinstance(value, str) else value.decode() for value in table["event"].to_pylist()]
        assert texts == names
        assert table["wide"].to_pylist() == [9007199254740993] * 5


async def test_a_limit_cuts_and_says_so(resources: Resources, workspace: UUID) -> None:
    answer = await ask(resources, workspace, "SELECT number FROM numbers(10)", limit=3)
    assert answer.json["data"] == [[0], [1], [2]]
    assert answer.json["truncated"] is True
    answer = await ask(resources, workspace, "SELECT number FROM numbers(3)", limit=3)
    assert answer.json["truncated"] is False
    assert len((await ask(resources, workspace, "SELECT 1 FROM numbers(5000)")).json["data"]) == 1000
    assert len((await ask(resources, workspace, "SELECT 1 FROM numbers(5000)", format="csv")).body.splitlines()) == 5001
    cut = await ask(resources, workspace, "SELECT 1 FROM numbers(5000)", format="csv", limit=7)
    assert len(cut.body.splitlines()) == 8
    empty = await ask(resources, workspace, "SELECT event FROM events_track")
    assert (empty.json["columns"], empty.json["data"]) == ([{"name": "event", "type": "LowCardinality(String)"}], [])


async def test_parameters_and_time_zone(resources: Resources, workspace: UUID) -> None:
    answer = await ask(
        resources,
        workspace,
        "SELECT {a:String}, {b:Array(UInt8)}, {c:Nullable(Int32)}, 2 IN {b:Array(UInt8)}, toString({t:DateTime})",
        parameters={"a": "it's \\ '; DROP", "b": [1, 2], "c": None, "t": 0},
        timezone="Asia/Kolkata",
    )
    assert answer.json["data"] == [["it's \\ '; DROP", [1, 2], None, 1, "1970-01-01 05:30:00"]]
    assert (await ask(resources, workspace, "SELECT 1", timezone="Mars/Base")).status == 400


async def test_the_plan_of_a_statement(resources: Resources, workspace: UUID) -> None:
    answer = await ask(resources, workspace, "EXPLAIN SELECT event FROM events_track WHERE event = 'x'")
    assert answer.status == 200, answer.body
    assert any("ReadFromMergeTree" in row[0] for row in answer.json["data"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT evnt\nFROM events_track", "line 1, column 8: there is no such column (at evnt)"),
        ("SELECT 1,\n length(1)", "line 2, column 2: a function cannot take arguments of this type (at length)"),
        ("SELECT workspace_id FROM events_track", "line 1, column 8: there is no such column (at workspace_id)"),
        ("SELECT toUInt8('abcdefgh')", "line 1, column 17: a text cannot be read as the type asked for (at abcdefgh)"),
    ],
)
async def test_an_error_of_the_engine_names_its_place(
    resources: Resources, workspace: UUID, query: str, message: str
) -> None:
    answer = await ask(resources, workspace, query)
    assert answer.status == 400, answer.body
    assert answer.json["errors"] == [{"message": message, "pointer": "/query"}]


async def test_limits_stop_a_statement_and_are_named(resources: Resources, workspace: UUID) -> None:
    heavy = "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % 7 = 3"
    begun = time.monotonic()
    answer = await ask(resources, workspace, heavy, seconds=2)
    assert answer.status in (422, 504), answer.body
    assert time.monotonic() - begun < 20
    await workspaces.put(
        resources.postgres,
        workspace,
        WorkspaceSettings(limits=Limits(max_memory_bytes=16_777_216, max_rows_to_read=1_000_000)),
        "tests",
    )
    answer = await ask(
        resources, workspace, "SELECT length(groupArray(a.number)) FROM numbers(1000000) AS a, numbers(9) AS b"
    )
    assert answer.status == 422, answer.body
    assert "memory" in answer.json["detail"] or "rows" in answer.json["detail"]


async def test_a_statement_is_cancelled_by_its_own_workspace_alone(resources: Resources, workspace: UUID) -> None:
    query_id = uuid4()
    heavy = "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % 7 = 3"
    task = asyncio.create_task(ask(resources, workspace, heavy, query_id=str(query_id), seconds=30))
    await asyncio.sleep(1.5)
    await resources.sql.cancel(name_of(uuid4(), query_id))
    await asyncio.sleep(0.5)
    assert not task.done()
    begun = time.monotonic()
    await resources.sql.cancel(name_of(workspace, query_id))
    answer = await task
    assert answer.status >= 400
    assert time.monotonic() - begun < 20


async def test_going_away_stops_the_engine_s_work(resources: Resources, workspace: UUID) -> None:
    marker = 1_000_003
    heavy = f"SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % {marker} = 3"
    task = asyncio.create_task(ask(resources, workspace, heavy, seconds=30))
    for _ in range(200):
        await asyncio.sleep(0.1)
        if await _running(resources, marker):
            break
    assert await _running(resources, marker)
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    while await _running(resources, marker):
        assert time.monotonic() - begun < 20
        await asyncio.sleep(0.05)


async def _running(resources: Resources, marker: int) -> int:
    """Return how many statements with a number in their text the engine runs."""
    statement = f"SELECT count() FROM system.processes WHERE query LIKE '%= 3%' AND position(query, '{marker}') > 0"
    statement += " AND query NOT LIKE '%processes%'"
    result = await resources.clickhouse.query(statement, query_id=uuid4().hex, timeout=10)
    return int(result.data[0][0])


async def test_a_workspace_has_only_so_many_places(resources: Resources, workspace: UUID) -> None:
    heavy = "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % 7 = 3"
    tasks = [asyncio.create_task(ask(resources, workspace, heavy, seconds=4)) for _ in range(6)]
    await asyncio.sleep(1)
    assert (await ask(resources, uuid4(), "SELECT 1", seconds=15)).status == 200
    statuses = [answer.status for answer in await asyncio.gather(*tasks)]
    assert statuses.count(429) == 4, statuses  # two ran, and none of the others in time
