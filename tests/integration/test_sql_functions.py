"""The list of functions against the engine's own: nothing new is let through, nothing listed is gone."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from services.kit import sql
from services.kit.clickhouse import ClickHouse, ClickHouseError
from services.kit.settings import Settings
from services.query.sql.access import (
    revoke_shared_statements,
    revoke_statements,
    shared_statements,
    user_statements,
)
from services.query.sql.check import TABLE_FUNCTIONS
from services.query.sql.functions import (
    ANY_CASE,
    FUNCTIONS,
    HIGHER_ORDER,
    TABLE_FUNCTIONS_TOO,
    WITHOUT_BRACKETS,
    is_allowed,
)


@pytest.fixture(scope="module")
async def clickhouse(infra: Settings) -> AsyncIterator[ClickHouse]:
    handle = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=1)
    await handle.start()
    yield handle
    await handle.close()


async def names(clickhouse: ClickHouse, statement: str) -> set[str]:
    result = await clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=20)
    return {name.decode() for name in result.data[0]} if result.data else set()


async def test_every_listed_function_is_the_engine_s_own(clickhouse: ClickHouse) -> None:
    known = await names(clickhouse, "SELECT name FROM system.functions WHERE origin = 'System'")
    assert FUNCTIONS - known == {"grouping"}  # of GROUP BY's own syntax
    insensitive = await names(clickhouse, "SELECT lower(name) FROM system.functions WHERE case_insensitive")
    assert insensitive >= ANY_CASE


async def test_what_an_engine_has_besides_is_not_allowed(clickhouse: ClickHouse) -> None:
    known = await names(clickhouse, "SELECT name FROM system.functions")
    let_through = {name for name in known if is_allowed(name)}
    combined = let_through - FUNCTIONS - {name for name in known if name.lower() in ANY_CASE}
    aggregates = await names(clickhouse, "SELECT name FROM system.functions WHERE is_aggregate")
    # Aggregates whose whole name reads like another with a combinator.
    assert combined <= aggregates, combined - aggregates
    assert len(known - let_through) >= 400


async def test_no_function_that_reaches_out_is_allowed(clickhouse: ClickHouse) -> None:
    categories = "('AI', 'Dictionary', 'Embedded Dictionary', 'Introspection', 'Internal', 'Machine Learning')"
    reaching = await names(clickhouse, f"SELECT name FROM system.functions WHERE categories IN {categories}")
    assert len(reaching) > 80
    # What CASE x WHEN … is to the engine: it computes from its arguments.
    assert {name for name in reaching if is_allowed(name)} <= {"caseWithExpression"}


async def test_every_function_that_takes_a_function_is_known(clickhouse: ClickHouse) -> None:
    taking = await names(clickhouse, "SELECT name FROM system.functions WHERE higher_order = 1")
    assert {name for name in taking if is_allowed(name)} == HIGHER_ORDER


async def test_every_function_that_a_bare_name_calls_is_known(clickhouse: ClickHouse) -> None:
    for name in await names(clickhouse, "SELECT name FROM system.functions"):
        if is_allowed(name) or name.lower() in WITHOUT_BRACKETS:
            continue
        statement = f"EXPLAIN QUERY TREE SELECT {sql.identifier(name)} FROM (SELECT 1 AS one)"
        with pytest.raises(ClickHouseError) as raised:
            await names(clickhouse, statement)
        assert raised.value.name == "UNKNOWN_IDENTIFIER", name


async def test_no_allowed_function_is_a_table_function_that_reaches_out(clickhouse: ClickHouse) -> None:
    """`x IN f(…)` calls a table function of that name when there is one."""
    known = await names(clickhouse, "SELECT name FROM system.table_functions")
    assert {name for name in known if is_allowed(name)} == TABLE_FUNCTIONS_TOO
    assert known >= TABLE_FUNCTIONS


async def test_the_statements_of_a_workspace_s_user_are_the_engine_s_language(clickhouse: ClickHouse) -> None:
    workspace = uuid.uuid4()
    for cluster in ("", "main"):
        statements = [
            *shared_statements(("cdp",), cluster=cluster),
            *user_statements(workspace, "it's", {"max_memory_usage": 30}, 900, cluster=cluster),
            *revoke_statements(workspace, cluster=cluster),
            *revoke_shared_statements(cluster=cluster),
        ]
        for statement in statements:
            assert await names(clickhouse, f"SELECT formatQuerySingleLine({sql.string(statement)})")
