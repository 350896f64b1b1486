"""How far a statement is: rows, percent, memory while it runs, and how it ended once it has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import nats
import pytest

from contracts import headers as names
from contracts.errors import NotFound
from contracts.operations import BY_ID
from contracts.sql import SqlProgress, SqlProgressGet
from services.kit.service import RequestContext
from services.kit.settings import Settings
from services.query.resources import Resources
from services.query.sql.progress import sql_progress
from tests.api import Api
from tests.custom_sql import ask, resources_of

HEAVY = "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % 7 = 3"


@pytest.fixture(scope="module")
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with resources_of(infra) as opened:
        yield opened


async def _progress(resources: Resources, workspace: UUID, query_id: UUID) -> SqlProgress:
    deadline = asyncio.get_running_loop().time() + 10
    context = RequestContext(
        workspace=workspace, request_id="r", principal="", deadline=deadline, now=None, format="json", stream=False
    )
    return await sql_progress(resources, SqlProgressGet(query_id=query_id), context)


async def test_a_statement_is_followed_from_its_start_to_its_end(api: Api) -> None:
    query_id = str(uuid4())
    path = f"/query/sql/{query_id}"
    assert (await api.call(path, method="GET")).status == 404
    task = asyncio.create_task(api.call("/query/sql", {"query": HEAVY, "query_id": query_id}))
    seen: list[Any] = []
    for _ in range(40):
        await asyncio.sleep(0.1)
        answer = await api.call(path, method="GET")
        if answer.status == 200 and answer.json["rows_to_read"] is not None:
            seen.append(answer.json)
            if len(seen) > 5:
                break
    assert len(seen) > 5
    for each in seen:
        assert (each["query_id"], each["status"], each["error"]) == (query_id, "running", None)
        assert each["percent"] == pytest.approx(min(100 * each["rows_read"] / each["rows_to_read"], 100), abs=0.1)
        assert each["bytes_read"] > 0 and each["memory_bytes"] > 0
    assert 0 < seen[0]["rows_read"] <= seen[-1]["rows_read"]
    assert seen[0]["seconds"] < seen[-1]["seconds"]
    other = Api(api.settings, api.url, uuid4(), api.http)
    assert (await other.call(path, method="GET")).status == 404
    await api.call(path, method="DELETE")
    await task
    ended = (await api.call(path, method="GET")).json
    assert (ended["status"], ended["percent"], ended["memory_bytes"]) == ("cancelled", None, None)
    assert ended["started_at"] == seen[0]["started_at"]
    assert ended["seconds"] >= seen[-1]["seconds"]


async def test_one_that_another_process_runs_is_followed_as_well(
    resources: Resources, workspace: UUID, infra: Settings
) -> None:
    query_id = uuid4()
    async with resources_of(infra) as others:
        task = asyncio.create_task(ask(others, workspace, HEAVY, query_id=str(query_id), format="csv"))
        await asyncio.sleep(1.5)
        found = await _progress(resources, workspace, query_id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await others.history.flush()
    assert found.status == "running" and found.rows_read and found.percent
    assert (await _progress(resources, workspace, query_id)).status == "cancelled"


async def test_the_engine_alone_knows_one_that_no_process_has_noted_yet(
    resources: Resources, workspace: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    query_id = uuid4()
    monkeypatch.setattr("services.query.sql.history_store.write", _nothing)
    task = asyncio.create_task(ask(resources, workspace, HEAVY, query_id=str(query_id), seconds=3))
    await asyncio.sleep(1.5)
    found = await _progress(resources, workspace, query_id)
    assert found.status == "running" and found.rows_read and 0 < (found.seconds or 0) < 3
    for stranger in (uuid4(), workspace):
        with pytest.raises(NotFound):
            await _progress(resources, stranger, query_id if stranger != workspace else uuid4())
    await task


async def _nothing(*_: Any) -> None:
    """Write no history."""


async def test_what_has_ended_says_how(resources: Resources, workspace: UUID) -> None:
    ends = {
        "SELECT count() FROM numbers(10)": "finished",
        "SELECT file('x')": "refused",
        "SELECT throwIf(1)": "refused",
    }
    for query, status in ends.items():
        query_id = uuid4()
        await ask(resources, workspace, query, query_id=str(query_id))
        found = await _progress(resources, workspace, query_id)
        assert (found.status, found.query_id) == (status, query_id)
        assert (found.rows_read == 10) == (status == "finished")
        assert (found.error is None) == (status == "finished")


async def test_over_nats(api: Api) -> None:
    connection = await nats.connect(api.settings.nats_url)
    meta = (await api.call("/query/sql", {"query": "SELECT 1"})).json["meta"]
    for query_id, status in ((meta["query_id"], "finished"), (str(uuid4()), 404), ("x", 400)):
        reply = await connection.request(
            BY_ID["query.sql_progress"].subject,
            json.dumps({"query_id": query_id}).encode(),
            timeout=10,
            headers={names.WORKSPACE: str(api.workspace)},
        )
        assert json.loads(reply.data)["status"] == status
    await connection.close()
