"""A read-only user confined to some tables, with a filter sent along, sees these rows of these tables alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from asynch.connection import Connection
from asynch.errors import ServerException

from .server import Front, fetch

MINE = {"additional_table_filters": "{'default.confined_events': 'tenant = 1'}"}

ALLOWED = [
    "SELECT sum(x) FROM confined_events",
    "SELECT sum(x) FROM default.confined_events AS e FINAL",
    "WITH c AS (SELECT x FROM confined_events) SELECT sum(x) FROM c",
    "SELECT sum(x) FROM (SELECT x FROM confined_events)",
    "SELECT (SELECT sum(x) FROM confined_events)",
    "SELECT sum(a.x) FROM confined_events AS a JOIN confined_events AS b ON a.x = b.x",
    "SELECT sum(x) FROM confined_events WHERE x IN (SELECT x FROM confined_events)",
    "SELECT sum(x) FROM confined_events WHERE x IN (5, 7)",
    "SELECT 5 FROM numbers(1)",
    "WITH RECURSIVE r AS (SELECT 5 AS n UNION ALL SELECT n - 1 FROM r WHERE n > 1) SELECT max(n) FROM r",
]
REFUSED = [
    ("SELECT * FROM confined_secrets", 497),
    ("SELECT * FROM `confined_secrets`", 497),
    ("SELECT * FROM default.confined_secrets", 497),
    ("SELECT (SELECT max(x) FROM confined_secrets)", 497),
    ("SELECT 9 IN confined_secrets", 497),
    ("SELECT 9 IN (confined_secrets)", 497),
    ("SELECT (SELECT 9 IN default.confined_secrets)", 497),
    ("SELECT in(9, confined_secrets)", 497),
    ("SELECT notIn(9, default.confined_secrets)", 497),
    ("SELECT * FROM system.tables", 497),
    ("SELECT * FROM `system`.`one`", 497),
    ("SELECT (SELECT count() FROM system.tables)", 497),
    ("SELECT 0 IN system.one", 497),
    ("SELECT * FROM `_temporary_and_external_tables`.`_tmp_x`", 497),
    ("EXPLAIN SELECT * FROM confined_secrets", 497),
    ("EXPLAIN QUERY TREE SELECT (SELECT max(x) FROM confined_secrets)", 497),
    ("EXPLAIN AST WITH 9 IN confined_secrets AS y SELECT y", 497),
    ("EXPLAIN ESTIMATE SELECT * FROM confined_secrets", 497),
    ("EXPLAIN SYNTAX SELECT 1", 164),
    ("EXPLAIN PLAN indexes = 1 SELECT 1", 164),
    ("DESCRIBE TABLE confined_secrets", 164),
    ("SHOW TABLES", 164),
    ("SHOW CREATE TABLE confined_secrets", 164),
    ("EXISTS TABLE confined_secrets", 164),
    ("SELECT * FROM merge('default', 'confined_.*')", 446),
    ("SELECT * FROM view(SELECT * FROM confined_secrets)", 446),
    ("SELECT * FROM loop(confined_secrets)", 446),
    ("SELECT * FROM remote('127.0.0.1', default.confined_secrets)", 446),
    ("SELECT * FROM cluster('default', default.confined_secrets)", 446),
    ("SELECT dictGet('d', 'v', 1)", 446),
    ("SELECT sum(x) FROM confined_events SETTINGS additional_table_filters = {}", 164),
    ("SELECT * FROM (SELECT sum(x) FROM confined_events SETTINGS additional_table_filters = {})", 164),
    ("SET additional_table_filters = {}", 164),
    ("INSERT INTO confined_events VALUES (1, 1)", 164),
]


@pytest.fixture(scope="module", autouse=True)
async def tables(front: Front) -> None:
    async with front.connection() as connected:
        for name in ("confined_events", "confined_secrets"):
            await fetch(
                connected,
                f"CREATE TABLE IF NOT EXISTS {name} (tenant UInt8, x UInt8) ENGINE = ReplacingMergeTree ORDER BY x",
            )
        await fetch(connected, "INSERT INTO confined_events VALUES (1, 5), (2, 7)")
        await fetch(connected, "INSERT INTO confined_secrets VALUES (1, 9)")


@pytest.fixture
async def tenant(front: Front) -> AsyncIterator[Connection]:
    async with front.connection("tenant", "own") as connected:
        yield connected


@pytest.mark.parametrize("sql", ALLOWED)
async def test_a_confined_user_reads_its_rows(tenant: Connection, sql: str) -> None:
    assert await fetch(tenant, sql, settings=MINE) == [(5,)]


@pytest.mark.parametrize(("sql", "code"), REFUSED, ids=[sql for sql, _ in REFUSED])
async def test_a_confined_user_is_refused_the_rest(tenant: Connection, front: Front, sql: str, code: int) -> None:
    with pytest.raises(ServerException) as raised:
        await fetch(tenant, sql, settings=MINE)
    assert raised.value.code == code
    headers = {"X-ClickHouse-User": "tenant", "X-ClickHouse-Key": "own"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{front.url}/", params=MINE, data=sql) as answer,
    ):
        assert answer.headers["X-ClickHouse-Exception-Code"] == str(code)


async def test_what_is_sent_holds_for_its_query_only(tenant: Connection) -> None:
    other = {"additional_table_filters": "{'default.confined_events': 'tenant = 2'}"}
    for settings, rows in ((MINE, [(5,)]), (other, [(7,)]), (MINE, [(5,)]), ({}, [(5,), (7,)])):
        assert await fetch(tenant, "SELECT x FROM confined_events ORDER BY x", settings=settings) == rows
    with pytest.raises(ServerException) as raised:
        await fetch(tenant, "SELECT 1", settings={"readonly": 0})
    assert raised.value.code == 164
    with pytest.raises(ServerException) as raised:
        await fetch(tenant, "SELECT 1", settings={"max_execution_time": 5})
    assert raised.value.code == 164


async def test_functions_given_by_name_are_refused_because_the_engine_does_not_show_them(reader: Connection) -> None:
    for sql in (
        "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
        "SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/passwd')",
        "SELECT arrayMap(file, ['/etc/passwd'])",
        "SELECT arrayMap((file), ['/etc/passwd'])",
        "SELECT (SELECT arraySort(file AS f, ['/etc/passwd']))",
        "SELECT (SELECT COLUMNS('.*') APPLY file FROM (SELECT '/etc/passwd'))",
    ):
        with pytest.raises(ServerException) as raised:
            await fetch(reader, sql)
        assert raised.value.code == 446
