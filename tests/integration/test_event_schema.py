"""The start-up check against real tables: those of the migrations pass, every departure is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from contracts.common import TABLES
from services.kit import event_schema, event_schema_check, sql
from services.kit.clickhouse import ClickHouse
from services.kit.event_schema import Problem, compare, create_statement
from services.kit.settings import Settings


@pytest.fixture(scope="module")
async def clickhouse(infra: Settings) -> AsyncIterator[ClickHouse]:
    handle = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=2)
    await handle.start()
    yield handle
    await handle.close()


@pytest.fixture
async def scratch(clickhouse: ClickHouse) -> AsyncIterator[str]:
    """The name of a table of the contract of `events_group`, for this test alone."""
    name = f"scratch_{uuid4().hex}"
    await clickhouse.execute(create_statement("group", f"cdp.{name}"))
    yield name
    await clickhouse.execute(f"DROP TABLE cdp.{name}")


async def problems(clickhouse: ClickHouse, name: str) -> list[Problem]:
    found = await event_schema_check.read_tables(clickhouse, [name])
    return compare("group", f"cdp.{name}", found.get(name))


async def test_migrated_tables_keep_the_contract(clickhouse: ClickHouse) -> None:
    await event_schema_check.check(clickhouse)


async def test_a_table_made_from_the_contract_keeps_it(clickhouse: ClickHouse, scratch: str) -> None:
    assert await problems(clickhouse, scratch) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("DROP COLUMN traits_null", "column traits_null is missing"),
        ("MODIFY COLUMN traits JSON", "column traits is JSON, not JSON(max_dynamic_paths=64)"),
        ("MODIFY COLUMN group_id LowCardinality(String)", "column group_id is LowCardinality(String), not String"),
        ("MODIFY COLUMN received_at DateTime64(3)", "column received_at is DateTime64(3)"),
        ("MODIFY COLUMN version REMOVE MATERIALIZED", "column version is made by the sender"),
    ],
)
async def test_a_changed_column_is_named_and_its_statement_mends_it(
    clickhouse: ClickHouse, scratch: str, change: str, what: str
) -> None:
    await clickhouse.execute(f"ALTER TABLE cdp.{scratch} {change}")
    [problem] = await problems(clickhouse, scratch)
    assert problem.what.startswith(what)
    await clickhouse.execute(problem.statement)
    assert await problems(clickhouse, scratch) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("ReplacingMergeTree(version)", "MergeTree", "its engine is MergeTree, not ReplacingMergeTree(version)"),
        ("actor_key, timestamp, mid)", "timestamp, mid)", "its sorting key is workspace_id, timestamp, mid, not"),
        ("toYYYYMM", "toMonday", "its partition key is toMonday(timestamp), not toYYYYMM(timestamp)"),
    ],
)
async def test_another_layout_is_named_and_its_statements_rebuild_the_table(
    clickhouse: ClickHouse, old: str, new: str, what: str
) -> None:
    name = f"scratch_{uuid4().hex}"
    await clickhouse.execute(create_statement("group", f"cdp.{name}").replace(old, new))
    try:
        [problem] = await problems(clickhouse, name)
        assert problem.what.startswith(what)
        for statement in problem.statement.split("; "):
            await clickhouse.execute(statement)
        assert await problems(clickhouse, name) == []
    finally:
        await clickhouse.execute(f"DROP TABLE IF EXISTS cdp.{name}")
        await clickhouse.execute(f"DROP TABLE IF EXISTS cdp.{name}_rebuilt")


async def test_a_missing_table_is_named(clickhouse: ClickHouse) -> None:
    [problem] = await problems(clickhouse, "no_such_table")
    assert problem.what == "there is no such table"


async def test_times_that_an_insert_rewrote_are_warned_of(clickhouse: ClickHouse, workspace: UUID) -> None:
    rows = (
        f"SELECT {sql.uuid(workspace)}, 'm', 'u', now64(), now64(), '{{\"since\":\"2024-01-01T00:00:00+07:00\"}}'::JSON"
    )
    await clickhouse.execute(
        f"INSERT INTO cdp.events_group (workspace_id, message_id, user_id, timestamp, received_at, traits) {rows}"
    )
    warned = await event_schema_check.check(clickhouse)
    assert [str(each) for each in warned if each.path == "traits.since"]
    await clickhouse.execute(f"DELETE FROM cdp.events_group WHERE workspace_id = {sql.uuid(workspace)}")


async def test_message_ids_sent_again_with_another_time_are_found(clickhouse: ClickHouse, workspace: UUID) -> None:
    rows = ", ".join(
        f"({sql.uuid(workspace)}, '{message}', 'u', '{day}', now64(), 'e')"
        for message, day in [
            ("same", "2024-01-01"),
            ("same", "2024-01-01"),
            ("moved", "2024-01-01"),
            ("moved", "2024-02-01"),
        ]
    )
    await clickhouse.execute(
        "INSERT INTO cdp.events_track (workspace_id, message_id, user_id, timestamp, received_at, event) "
        f"SELECT * FROM VALUES({rows})"
    )
    found = await clickhouse.query(
        event_schema.inconsistent_duplicates("track", workspace), query_id=uuid4().hex, timeout=10
    )
    assert list(found.rows()) == [(workspace, b"moved", 2)]


def test_every_context_path_with_a_hint_is_in_the_contract_of_every_table() -> None:
    for table in TABLES:
        type_ = event_schema.expected(table).columns["context"].type
        assert all(f"{path}` Nullable(String)" in type_ or f" {path} " in type_ for path in event_schema.CONTEXT_PATHS)
