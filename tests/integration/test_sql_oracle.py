"""Analysts' queries mean here what the engine means by them in a database that holds this workspace's rows only."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import aiohttp
import pytest
from yarl import URL

from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings
from services.kit.statements import limits
from services.query.resources import Resources
from services.query.sql.tables import VISIBLE, sub_select
from tests.api import insert
from tests.custom_sql import ask, resources_of
from tests.integration.test_query_events import event
from tests.oracle.sql_corpus import QUERIES

HOUR = 3_600_000


@dataclass(frozen=True)
class Both:
    """The same rows twice: in a workspace, and alone in a database."""

    resources: Resources
    workspace: UUID
    alone: ClickHouse


@pytest.fixture(scope="module")
async def both(infra: Settings) -> AsyncIterator[Both]:
    workspace, other = uuid.uuid4(), uuid.uuid4()
    database = f"only_{workspace.hex}"
    url = str(URL(infra.clickhouse_url).with_path(f"/{database}"))
    alone = ClickHouse(url, infra.clickhouse_http_url, size=1)
    await alone.start()
    async with resources_of(infra) as resources, aiohttp.ClientSession() as http:
        await insert(infra, http, {workspace: _history(), other: _history("foreign ")})
        run = resources.clickhouse.execute
        await run(f"CREATE DATABASE {database}")
        for name in VISIBLE:
            rows = sub_select(name, workspace, None)
            await run(f"CREATE TABLE {database}.{name} ENGINE = ReplacingMergeTree ORDER BY message_id AS {rows}")
        yield Both(resources, workspace, alone)
        await run(f"DROP DATABASE {database}")
    await alone.close()


def _history(prefix: str = "") -> list[dict[str, object]]:
    names = ("Product Viewed", "Order Completed", "Signed Up", "Product Viewed")
    events: list[dict[str, object]] = []
    for n in range(40):
        user = f"{prefix}u{n % 4}" if n % 5 else ""
        common = {"user_id": user, "anonymous_id": f"{prefix}a{n % 6}"}
        moment = event(n)["timestamp"] + n * 7 * HOUR
        properties = {
            "price": n * 1.5 if n % 3 else str(n),
            "product": {"sku": f"s{n % 3}", "n": n},
            "items": [{"sku": f"i{n % 2}"}, {"sku": "j"}],
            "tags": ["x", "y"][: n % 3],
        }
        events.append(event(n, event=prefix + names[n % 4], properties=properties, **common) | {"timestamp": moment})
        if n % 3 == 0 and n % 4 != 3:
            page = {"table": "page", "name": f"{prefix}Home", "context": {"page": {"path": f"/{n % 2}"}}}
            events.append(event(100 + n, **page, **common) | {"timestamp": moment + HOUR})
        if n % 10 == 1:
            traits = {"plan": "pro" if n % 4 == 1 else "free"}
            events.append(event(200 + n, table="identify", traits=traits, **common) | {"timestamp": moment})
    return events


@pytest.mark.parametrize("query", QUERIES)
async def test_the_answer_is_that_of_the_rows_alone(both: Both, query: str) -> None:
    settings = limits(both.resources.settings) | {"session_timezone": "UTC"}
    opened = both.alone.http_stream(
        query, "JSONCompactEachRowWithNamesAndTypes", settings=settings, query_id=uuid.uuid4().hex, timeout=20
    )
    async with opened as stream:
        expected = b"".join([chunk async for chunk in stream]).splitlines()
    answer = await ask(both.resources, both.workspace, query)
    assert answer.status == 200, answer.body
    assert [column["type"] for column in answer.json["columns"]] == json.loads(expected[1])
    assert answer.json["data"] == [_narrow(json.loads(line)) for line in expected[2:]]
    assert b"foreign" not in answer.body


def _narrow(value: object) -> object:
    """Integers beyond 2^53 are texts."""
    if isinstance(value, list):
        return [_narrow(each) for each in value]
    if isinstance(value, dict):
        return {name: _narrow(each) for name, each in value.items()}
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53 else value


def test_the_corpus_is_large_enough() -> None:
    assert len(set(QUERIES)) >= 60
