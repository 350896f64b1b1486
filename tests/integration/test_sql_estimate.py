"""Estimates come close to what statements read, and pass the same walls."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import aiohttp
import nats
import pytest

from contracts import headers as names
from contracts.operations import BY_ID
from contracts.sql import ESTIMATE_EXAMPLES
from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings
from tests.api import Api, insert
from tests.people import event

ROWS = 60_000


@pytest.fixture(scope="module")
async def filled(infra: Settings) -> uuid.UUID:
    """A workspace with events of two months in parts of full size."""
    workspace = uuid.uuid4()
    clickhouse = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await clickhouse.start()
    await clickhouse.execute(
        "INSERT INTO cdp.events_track "
        "(workspace_id, message_id, user_id, timestamp, received_at, event, properties, context) "
        f"SELECT toUUID('{workspace}'), toString(number), concat('user-', toString(number % 1000)), "
        "toDateTime64('2026-01-01', 3) + number * 80 AS t, t + 1, ['Viewed', 'Added', 'Ordered'][number % 3 + 1], "
        "concat('{\"price\":', toString(number), '}'), "
        'concat(\'{"page":{"path":"/products/\', toString(number % 500), \'"},"note":"\', repeat(\'x\', 200), \'"}\') '
        f"FROM numbers({ROWS})",
        settings={"min_insert_block_size_rows": 1_000_000, "max_block_size": 1_000_000},
    )
    await clickhouse.close()
    return workspace


@pytest.fixture
def shop(api: Api, filled: uuid.UUID) -> Api:
    """That workspace over HTTP."""
    return replace(api, workspace=filled)


async def _estimate(api: Api, query: str, **request: Any) -> Any:
    answer = await api.call("/query/sql/estimate", {"query": query, **request})
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count() FROM events_track",
        "SELECT event, uniq(actor) FROM events_track GROUP BY event",
        "SELECT context.page.path, count() FROM events_track GROUP BY 1",
        "SELECT max(toString(context)) FROM events_track",
        "SELECT count() FROM events_track AS a JOIN events_track AS b USING (message_id)",
        "SELECT count() FROM events WHERE user_id = 'user-1'",
        "SELECT count() FROM events_track WHERE timestamp >= now() - INTERVAL 1 DAY",
    ],
)
async def test_an_estimate_is_close_to_what_is_read(shop: Api, query: str) -> None:
    clock = {"as_of": "2026-02-15T00:00:00Z"}
    found = await _estimate(shop, query, **clock)
    read = (await shop.call("/query/sql", {"query": query, **clock})).json["meta"]
    assert read["rows_read"] * 0.75 <= found["rows"] <= read["rows_read"] + 32_768
    assert read["bytes_read"] / 2 < found["bytes"] < read["bytes_read"] * 2.5 + 300_000
    assert found["parts"] >= 1


async def test_neighbours_in_a_table_without_rows_count_with_the_columns_that_are_read(shop: Api) -> None:
    rows = [event(number, user_id=f"user-{number}", traits={"note": "x" * 1000}) for number in range(1_000)]
    around = uuid.UUID(int=shop.workspace.int - 1), uuid.UUID(int=shop.workspace.int + 1)
    async with aiohttp.ClientSession() as http:
        await insert(shop.settings, http, dict.fromkeys(around, rows))
    found = await _estimate(shop, "SELECT count() FROM events_identify WHERE user_id = 'user-1'")
    assert 0 < found["bytes"] <= found["rows"] * 100


async def test_fewer_rows_are_expected_where_an_index_leaves_some_out(shop: Api) -> None:
    assert (await _estimate(shop, "SELECT count() FROM events_track"))["rows"] >= ROWS
    # Of a part that it shares with others a workspace reads what is next to its rows, too, but for count() alone.
    count = "SELECT uniqExact(message_id) FROM events_track"
    whole = await _estimate(shop, count)
    part = await _estimate(shop, f"{count} WHERE event = {{e:String}}", parameters={"e": "Added"})
    month = await _estimate(shop, f"{count} WHERE timestamp > now()", as_of="2026-02-02", timezone="Europe/Berlin")
    assert whole["rows"] >= ROWS
    assert whole["rows"] - ROWS / 4 > part["rows"] > 0
    assert whole["rows"] - ROWS / 4 > month["rows"] > 0
    assert month["parts"] < whole["parts"]
    assert [table["table"] for table in whole["tables"]] == ["events_track"]
    assert month["meta"]["as_of"].startswith("2026-02-01T23:00")


async def test_without_rows_there_is_next_to_nothing_to_read(shop: Api) -> None:
    other = replace(shop, workspace=uuid.uuid4())
    found = await _estimate(other, "SELECT count() FROM events_track")
    assert found["rows"] <= found["parts"] * 8_192, "a step of the index in each part"
    for query in ("SELECT 1", "SELECT sum(number) FROM numbers(1000)"):
        found = await _estimate(other, query)
        assert (found["rows"], found["bytes"], found["parts"], found["tables"]) == (0, 0, 0, [])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT file('/etc/passwd')", "line 1, column 8: the function file() is not available"),
        ("SELECT nope FROM events_track", "line 1, column 8: there is no such column (at nope)"),
        ("SELECT * FROM system.parts", "line 1, column 15: a database before a table's name is not supported here"),
        ("EXPLAIN SELECT 1", "EXPLAIN and DESCRIBE read no rows: ask for a SELECT"),
        ("DESCRIBE TABLE events", "EXPLAIN and DESCRIBE read no rows: ask for a SELECT"),
        ("EXPLAIN ESTIMATE SELECT 1", "a statement is a SELECT"),
    ],
)
async def test_what_cannot_run_cannot_be_estimated(api: Api, query: str, message: str) -> None:
    answer = await api.call("/query/sql/estimate", {"query": query})
    assert answer.status == 400, answer.body
    (error,) = answer.json["errors"]
    assert error["pointer"] == "/query"
    assert message in error["message"]


async def test_a_statement_over_the_workspace_s_limit_is_told_so(shop: Api) -> None:
    await shop.call("/workspace", {"limits": {"max_rows_to_read": 1000}}, method="PUT")
    answer = await shop.call("/query/sql/estimate", {"query": "SELECT count() FROM events_track"})
    await shop.call("/workspace", {}, method="PUT")
    assert answer.status == 422, answer.body
    assert "max_rows_to_read" in answer.json["detail"]


async def test_estimates_over_nats_and_the_examples(shop: Api) -> None:
    connection = await nats.connect(shop.settings.nats_url)
    for example in ESTIMATE_EXAMPLES.values():
        assert (await shop.call("/query/sql/estimate", example)).status == 200
        reply = await connection.request(
            BY_ID["query.sql_estimate"].subject,
            json.dumps(example).encode(),
            timeout=10,
            headers={names.WORKSPACE: str(shop.workspace)},
        )
        assert json.loads(reply.data)["tables"][0]["table"] == "events_track"
    await connection.close()
