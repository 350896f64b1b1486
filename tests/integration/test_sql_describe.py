"""DESCRIBE, and the clock of a statement, as the engine answers them."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pyarrow.parquet
import pytest

from contracts.workspace import WorkspaceSettings
from services.kit.settings import Settings
from services.query import workspaces
from services.query.resources import Resources
from services.query.sql.tables import VISIBLE
from tests.custom_sql import ask, resources_of

CLOCK = "2026-01-02T03:04:05.678Z"
ASKING = ("now()", "now('Asia/Tokyo')", "now64()", "now64(6, 'UTC')", "today()", "yesterday()", "UTCTimestamp()")
ASKING += ("localtime()", "CURRENT_DATE", "current_timestamp", "nowInBlock()", "nowInBlock64(9)", "curdate()", "now")


@pytest.fixture(scope="module")
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with resources_of(infra) as opened:
        yield opened


@pytest.mark.parametrize("table", VISIBLE)
async def test_a_table_is_described_as_the_schema_says(resources: Resources, workspace: UUID, table: str) -> None:
    answer = await ask(resources, workspace, f"DESCRIBE TABLE {table}")
    assert answer.status == 200, answer.body
    assert answer.json["columns"] == [{"name": "name", "type": "String"}, {"name": "type", "type": "String"}]
    assert [name for name, _ in answer.json["data"]] == [*VISIBLE[table].columns]
    assert dict(answer.json["data"])["actor"] == "Tuple(kind String, id String)"
    assert (await ask(resources, workspace, f"DESC {table}")).json["data"] == answer.json["data"]


@pytest.mark.parametrize(
    ("select", "columns"),
    [
        ("SELECT 1 AS a, 'x', [now()] AS t", [["a", "UInt8"], ["'x'", "String"], ["t", "Array(DateTime)"]]),
        ("(SELECT 1 AS a) UNION ALL (SELECT -1)", [["a", "Int16"]]),
        ("WITH 1 AS x SELECT x AS `o'neil\\\\ \"`", [["o'neil\\ \"", "UInt8"]]),
        ("SELECT properties.price AS p FROM events_track ORDER BY timestamp LIMIT 1", [["p", "Dynamic"]]),
        ("SELECT count() FROM events GROUP BY actor WITH TOTALS", [["count()", "UInt64"]]),
        (
            "SELECT t.number, s.number FROM numbers(2) AS t, numbers(2) AS s",
            [["number", "UInt64"], ["s.number", "UInt64"]],
        ),
    ],
)
async def test_a_select_is_described_by_its_columns(
    resources: Resources, workspace: UUID, select: str, columns: list[list[str]]
) -> None:
    answer = await ask(resources, workspace, f"DESCRIBE ({select})")
    assert answer.status == 200, answer.body
    assert answer.json["data"] == columns
    ran = await ask(resources, workspace, select)
    assert [[each["name"], each["type"]] for each in ran.json["columns"]] == columns


async def test_a_description_comes_in_every_format_and_reads_no_rows(resources: Resources, workspace: UUID) -> None:
    heavy = "SELECT count() AS n FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % 7 = 3"
    lines = (await ask(resources, workspace, f"DESC ({heavy})", format="ndjson")).body.splitlines()
    assert [json.loads(line) for line in lines] == [{"name": "n", "type": "UInt64"}]
    assert (await ask(resources, workspace, f"DESC ({heavy})", format="csv")).body == b'"name","type"\n"n","UInt64"\n'
    body = (await ask(resources, workspace, f"DESC ({heavy})", format="parquet")).body
    assert pyarrow.parquet.read_table(io.BytesIO(body)).num_rows == 1


@pytest.mark.parametrize(
    "query", ["DESC (SELECT nope)", "DESC (SELECT * FROM cdp.events_track)", "DESC system.one", "DESC TABLE url('x')"]
)
async def test_what_cannot_be_described_is_refused(resources: Resources, workspace: UUID, query: str) -> None:
    answer = await ask(resources, workspace, query)
    assert answer.status == 400
    assert answer.json["errors"][0]["pointer"] == "/query"


async def test_the_time_of_a_statement_is_that_of_its_request(resources: Resources, workspace: UUID) -> None:
    columns = ", ".join(f"toString({each}), toTypeName({each})" for each in ASKING)
    answer = await ask(resources, workspace, f"SELECT {columns}", as_of=CLOCK, timezone="America/New_York")
    assert answer.status == 200, answer.body
    (row,) = answer.json["data"]
    said = dict(zip(ASKING, row[::2], strict=True))
    assert said == {
        "now()": "2026-01-01 22:04:05",
        "now('Asia/Tokyo')": "2026-01-02 12:04:05",
        "now64()": "2026-01-01 22:04:05.678",
        "now64(6, 'UTC')": "2026-01-02 03:04:05.678000",
        "today()": "2026-01-01",
        "yesterday()": "2025-12-31",
        "UTCTimestamp()": "2026-01-02 03:04:05",
        "localtime()": "22:04:05",
        "CURRENT_DATE": "2026-01-01",
        "current_timestamp": "2026-01-01 22:04:05",
        "nowInBlock()": "2026-01-01 22:04:05",
        "nowInBlock64(9)": "2026-01-01 22:04:05.678000000",
        "curdate()": "2026-01-01",
        "now": "2026-01-01 22:04:05",
    }
    types = ", ".join(f"toTypeName({each})" for each in ASKING)
    result = await resources.clickhouse.query(f"SELECT {types}", query_id=workspace.hex, timeout=10)
    assert row[1::2] == [column[0].decode() for column in result.data]
    assert answer.json["meta"]["as_of"] == CLOCK.replace("678Z", "678000Z")


async def test_a_pinned_clock_holds_unless_the_request_has_its_own(resources: Resources, workspace: UUID) -> None:
    clock = datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC)
    await workspaces.put(resources.postgres, workspace, WorkspaceSettings(clock=clock, timezone="Asia/Tokyo"), "tests")
    query = "SELECT now() AS t, today() - 1 WHERE now() < now64() + INTERVAL 1 DAY"
    assert (await ask(resources, workspace, query)).json["data"] == [["2020-05-06T07:08:09Z", "2020-05-05"]]
    answer = await ask(resources, workspace, query, as_of="-1d")
    assert answer.json["data"] == [["2020-05-04T15:00:00Z", "2020-05-04"]], "midnight in Tokyo, a day before"
    assert [each["name"] for each in answer.json["columns"]] == ["t", "today() - 1"]
    refused = await ask(resources, workspace, query, as_of="yesterday")
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (400, "/as_of")
