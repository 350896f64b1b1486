"""What was deleted long ago is forgotten, by any number of processes at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kit.postgres import Postgres
from services.query.main import build
from services.query.saved import list_store, store
from tests.api import Api

_QUERY = {"name": "q", "kind": "events", "definition": {}}


@pytest.fixture
async def database(api: Api) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(api.settings.postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def postgres(api: Api) -> AsyncIterator[Postgres]:
    pool = Postgres(api.settings.postgres_url, size=4)
    await pool.start()
    yield pool
    await pool.close()


async def _deleted(api: Api, database: asyncpg.Connection, age: str) -> UUID:
    """Save a query of two versions and let it have been deleted so long ago."""
    id_ = (await api.call("/queries", _QUERY)).json["id"]
    assert (await api.call(f"/queries/{id_}", _QUERY, method="PUT", **{"If-Match": '"1"'})).status == 200
    assert (await api.call(f"/queries/{id_}", method="DELETE", **{"If-Match": '"2"'})).status == 200
    await database.execute(
        "UPDATE query.saved_queries SET deleted_at = now() - $2::text::interval WHERE id = $1", UUID(id_), age
    )
    return UUID(id_)


async def _list(database: asyncpg.Connection, workspace: UUID, state: str, age: str, actors: int) -> UUID:
    id_ = uuid4()
    await database.execute(
        "INSERT INTO query.lists (id, workspace_id, state, name, description, source, folded_name, haystack, "
        "created_at, created_by) VALUES ($1, $2, $3, '', '', '{}', '', '', now() - $4::text::interval, '')",
        *(id_, workspace, state, age),
    )
    rows = [(id_, position, "user", b"u") for position in range(1, actors + 1)]
    await database.copy_records_to_table("list_actors", schema_name="query", records=rows)
    return id_


async def _there(database: asyncpg.Connection, table: str, column: str, *ids: UUID) -> list[bool]:
    statement = f"SELECT EXISTS (SELECT FROM query.{table} WHERE {column} = $1)"
    return [await database.fetchval(statement, id_) for id_ in ids]


async def test_after_thirty_days_a_deleted_query_cannot_be_had_back(api: Api, database: asyncpg.Connection) -> None:
    old = await _deleted(api, database, "30 days 1 minute")
    young = await _deleted(api, database, "29 days 23 hours")
    listed: Any = (await api.call("/queries?deleted=true", method="GET")).json["data"]
    assert [each["id"] for each in listed] == [str(young)]
    assert (await api.call(f"/queries/{old}/restore")).status == 404
    assert (await api.call(f"/queries/{young}/restore")).status == 200


async def test_purging_forgets_old_queries_with_their_versions_and_nothing_else(
    api: Api, database: asyncpg.Connection, postgres: Postgres
) -> None:
    old = [await _deleted(api, database, age) for age in ("30 days 1 minute", "400 days")]
    young = await _deleted(api, database, "29 days 23 hours")
    live = UUID((await api.call("/queries", _QUERY)).json["id"])
    await asyncio.gather(*(store.purge(postgres) for _ in range(8)))
    assert await _there(database, "saved_queries", "id", *old, young, live) == [False, False, True, True]
    assert await _there(database, "saved_query_versions", "query_id", *old, young, live) == [False, False, True, True]


async def test_purging_removes_deleted_and_abandoned_lists_with_their_actors_and_nothing_else(
    api: Api, database: asyncpg.Connection, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_store, "_REMOVED_AT_ONCE", 3)
    deleted = await _list(database, api.workspace, "deleted", "0", 10)
    abandoned = await _list(database, api.workspace, "building", "1 day 1 minute", 7)
    running = await _list(database, api.workspace, "building", "23 hours", 3)
    ready = await _list(database, api.workspace, "ready", "2 years", 3)
    await asyncio.gather(*(list_store.purge(postgres) for _ in range(4)))
    ids = (deleted, abandoned, running, ready)
    assert await _there(database, "lists", "id", *ids) == [False, False, True, True]
    assert await _there(database, "list_actors", "list_id", *ids) == [False, False, True, True]


async def test_a_service_purges_when_it_starts(api: Api, database: asyncpg.Connection) -> None:
    old = await _deleted(api, database, "31 days")
    gone = await _list(database, api.workspace, "deleted", "0", 1)
    service = build(api.settings)
    assert service.lifespan is not None
    async with service.lifespan(), asyncio.timeout(20):
        while any(await _there(database, "saved_queries", "id", old) + await _there(database, "lists", "id", gone)):
            await asyncio.sleep(0.05)
