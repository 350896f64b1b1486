"""The history of statements: what was sent, how it ended, how long it is kept, and how it is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import nats
import pytest

from contracts import headers as names
from contracts.errors import Unavailable
from contracts.operations import BY_ID
from contracts.sql import SqlHistoryEntry, SqlHistoryList
from services.kit.settings import Settings
from services.query.resources import Resources
from services.query.sql import history_store
from services.query.sql.checked import name_of
from services.query.sql.history_store import LOST, Outcome, Sent
from tests.api import Api
from tests.custom_sql import ask, resources_of

HEAVY = "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number * b.number % 7 = 3"


@pytest.fixture(scope="module")
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with resources_of(infra) as opened:
        yield opened


@pytest.fixture
async def database(infra: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(infra.postgres_url)
    yield connection
    await connection.close()


async def _listed(resources: Resources, workspace: UUID, **request: Any) -> list[SqlHistoryEntry]:
    await resources.history.flush()
    found = await history_store.find(resources.postgres, workspace, SqlHistoryList(**request), None)
    return [entry for _, entry in found]


async def _sent(
    resources: Resources, workspace: UUID, statement: str = "SELECT 1", *, age: timedelta = timedelta(), **outcome: Any
) -> UUID:
    """Write a statement as if it had been sent some time ago, with half a minute to run."""
    started = datetime.now(UTC) - age
    sent = Sent(
        id=uuid4(),
        workspace=workspace,
        query_id=uuid4(),
        statement=statement,
        format="json",
        principal="tests",
        started_at=started,
        ends_by=started + timedelta(seconds=30),
    )
    await history_store.write(resources.postgres, [(sent, Outcome(**outcome))], [])
    return sent.query_id


async def test_each_statement_is_listed_with_how_it_ended(resources: Resources, workspace: UUID) -> None:
    query_id = uuid4()
    wide = "SELECT number, repeat('x\\n\"', number) FROM numbers(5)"
    await ask(resources, workspace, wide, query_id=str(query_id), limit=3)
    await ask(resources, workspace, "SELECT file('x')")
    await ask(resources, workspace, "SELECT nope")
    await ask(resources, workspace, "SELECT throwIf(number = 3) FROM numbers(5)")
    await ask(resources, workspace, "SELECT toUInt8(toString(number) || 'x') FROM numbers(5)")
    await ask(resources, workspace, HEAVY, seconds=1)
    for format_ in ("ndjson", "csv", "parquet"):
        await ask(resources, workspace, wide, format=format_)
    await ask(resources, uuid4(), "SELECT 2")
    found = (await _listed(resources, workspace))[::-1]
    shown = [(each.status, each.format, each.rows_returned) for each in found]
    assert shown == [
        ("finished", "json", 3),
        *[("refused", "json", None)] * 3,
        ("failed", "json", None),
        ("failed", "json", None),
        ("finished", "ndjson", 5),
        ("finished", "csv", 5),
        ("finished", "parquet", None),
    ]
    first, refused, _, _, failed, late, *_ = found
    assert (first.query_id, first.query, first.principal, first.error) == (query_id, wide, "tests", None)
    assert first.rows_read == 4 and first.bytes_read
    assert 0 < (first.seconds or 0) < 5
    assert abs(first.started_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert refused.error == "The request is not valid: line 1, column 8: the function file() is not available"
    assert "cannot be read" in (failed.error or "")
    assert late.error


async def test_a_statement_is_listed_while_it_runs_and_as_cancelled_after(api: Api) -> None:
    query_id = str(uuid4())
    task = asyncio.create_task(api.call("/query/sql", {"query": HEAVY, "query_id": query_id}))
    await asyncio.sleep(1)
    (running,) = (await api.call("/query/sql/history", method="GET")).json["data"]
    assert (running["query_id"], running["status"], running["seconds"]) == (query_id, "running", None)
    assert (await api.call(f"/query/sql/{query_id}", method="DELETE")).status == 200
    answer = await task
    assert answer.status == 409, answer.body
    (ended,) = (await api.call("/query/sql/history", method="GET")).json["data"]
    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert 0.5 < ended["seconds"] < 10


async def test_a_sub_query_that_runs_while_the_statement_is_read_is_stopped_as_well(api: Api) -> None:
    for query in (f"SELECT ({HEAVY})", f"DESCRIBE (SELECT 1 WHERE ({HEAVY}) > 1)"):
        query_id = str(uuid4())
        task = asyncio.create_task(api.call("/query/sql", {"query": query, "query_id": query_id}))
        await asyncio.sleep(1)
        begun = asyncio.get_running_loop().time()
        assert (await api.call(f"/query/sql/{query_id}", method="DELETE")).status == 200
        assert (await task).status == 409
        assert asyncio.get_running_loop().time() - begun < 5
        (ended, *_) = (await api.call("/query/sql/history", method="GET")).json["data"]
        assert (ended["query"], ended["status"]) == (query, "cancelled")


async def test_going_away_while_the_statement_is_read_stops_its_sub_queries(
    resources: Resources, workspace: UUID
) -> None:
    async def running() -> int:
        text = "SELECT count() FROM system.processes WHERE query LIKE '%= 1000033%' AND query NOT LIKE '%processes%'"
        result = await resources.clickhouse.query(text, query_id=uuid4().hex, timeout=10)
        return int(result.data[0][0])

    heavy = HEAVY.replace("= 3", "= 1000033")
    task = asyncio.create_task(ask(resources, workspace, f"SELECT ({heavy})"))
    while not await running():
        await asyncio.sleep(0.05)
    task.cancel()
    begun = asyncio.get_running_loop().time()
    while await running():
        assert asyncio.get_running_loop().time() - begun < 5
        await asyncio.sleep(0.05)
    await asyncio.gather(task, return_exceptions=True)
    assert [each.status for each in await _listed(resources, workspace)] == ["cancelled"]


async def test_who_goes_away_has_cancelled(resources: Resources, workspace: UUID) -> None:
    tasks = [asyncio.create_task(ask(resources, workspace, HEAVY, format=each)) for each in ("json", "csv")]
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [each.status for each in await _listed(resources, workspace)] == ["cancelled"] * 2


async def test_what_another_process_cancels_is_known_to_be_cancelled(resources: Resources, workspace: UUID) -> None:
    query_id = uuid4()
    task = asyncio.create_task(ask(resources, workspace, HEAVY, query_id=str(query_id), seconds=2, format="csv"))
    await asyncio.sleep(1)
    await history_store.cancel(resources.postgres, uuid4(), query_id)
    assert [each.status for each in await _listed(resources, workspace)] == ["running"]
    await history_store.cancel(resources.postgres, workspace, query_id)
    await task
    assert [each.status for each in await _listed(resources, workspace)] == ["cancelled"]


async def test_a_statement_whose_process_died_has_failed(resources: Resources, workspace: UUID) -> None:
    await _sent(resources, workspace, age=timedelta(seconds=31))
    await _sent(resources, workspace, age=timedelta(seconds=3))
    shown = [(each.status, each.error) for each in await _listed(resources, workspace)]
    assert shown == [("running", None), ("failed", LOST)]
    assert [each.error for each in await _listed(resources, workspace, status="failed")] == [LOST]
    await history_store.purge(resources.postgres)
    assert [(each.status, each.error) for each in await _listed(resources, workspace)] == shown


async def test_statements_are_searched_filtered_and_paged(api: Api) -> None:
    for number in range(5):
        answer = await api.call("/query/sql", {"query": f"SELECT {number} AS `Größe`, 'it''s 100%'"})
        assert answer.status == 200, answer.body
    await api.call("/query/sql", {"query": "SELECT nowhere"})

    async def listed(parameters: str) -> list[str]:
        answer = await api.call(f"/query/sql/history?{parameters}", method="GET")
        assert answer.status == 200, answer.body
        return [each["query"][:8] for each in answer.json["data"]]

    assert await listed("search=GR%C3%96SSE&limit=2") == ["SELECT 4", "SELECT 3"], "in either case"
    assert len(await listed("search=it's%20100%25")) == 5, "as it was meant"
    assert await listed("search=it''s_") == []
    assert await listed("status=refused") == ["SELECT n"]
    assert await listed("status=failed") == []
    seen, cursor = [], ""
    while cursor is not None:
        page = (await api.call(f"/query/sql/history?limit=2{cursor and f'&cursor={cursor}'}", method="GET")).json
        seen += [each["query"][:8] for each in page["data"]]
        cursor = page["next_cursor"]
    assert seen == ["SELECT n", *(f"SELECT {number}" for number in range(4, -1, -1))]
    other = Api(api.settings, api.url, uuid4(), api.http)
    assert (await other.call("/query/sql/history", method="GET")).json == {"data": [], "next_cursor": None}
    for wrong, pointer in (("cursor=x", "/cursor"), ("limit=0", "/limit"), ("status=lost", "/status"), ("x=1", "")):
        answer = await api.call(f"/query/sql/history?{wrong}", method="GET")
        assert (answer.status, answer.json["errors"][0].get("pointer", "")) == (400, pointer)
    assert (await api.call("/query/sql/history?search=%00", method="GET")).status == 400


async def test_over_nats_the_history_says_who_asked(api: Api) -> None:
    connection = await nats.connect(api.settings.nats_url)

    async def send(operation: str, body: Any) -> Any:
        headers = {names.WORKSPACE: str(api.workspace), names.PRINCIPAL: "somebody"}
        subject = BY_ID[f"query.{operation}"].subject
        return json.loads((await connection.request(subject, json.dumps(body).encode(), 10, headers=headers)).data)

    answer = await send("sql", {"query": "SELECT 1"})
    page = await send("sql_history", {"status": "finished"})
    await connection.close()
    (found,) = page["data"]
    assert (found["principal"], found["query_id"]) == ("somebody", answer["meta"]["query_id"])


async def test_texts_that_are_no_texts_are_listed_as_far_as_they_can_be(resources: Resources, workspace: UUID) -> None:
    assert (await ask(resources, workspace, "SELECT \0")).status == 400
    assert (await ask(resources, workspace, "SELECT " + "1" * 100_000)).status == 400
    assert [len(each.query) for each in await _listed(resources, workspace)] == [65_536, 8]


async def test_a_workspace_keeps_its_newest_thousand_for_thirty_days(
    resources: Resources, workspace: UUID, database: asyncpg.Connection
) -> None:
    other = uuid4()
    await _sent(resources, other, "SELECT 'old'", age=timedelta(days=30, minutes=1), status="finished")
    await _sent(resources, other, "SELECT 'young'", age=timedelta(days=29), status="finished")
    await database.execute(
        "INSERT INTO query.sql_history (id, workspace_id, query_id, statement, haystack, format, principal, status, "
        "started_at, ends_by) SELECT gen_random_uuid(), $1, gen_random_uuid(), n::text, '', 'json', '', 'finished', "
        "now() - n * interval '1 second', now() FROM generate_series(0, 1199) AS n",
        workspace,
    )
    await asyncio.gather(*(history_store.purge(resources.postgres) for _ in range(3)))
    kept = await database.fetch("SELECT statement FROM query.sql_history WHERE workspace_id = $1", workspace)
    assert sorted(int(row["statement"]) for row in kept) == list(range(1000))
    assert [each.query for each in await _listed(resources, other)] == ["SELECT 'young'"]


async def test_a_busy_workspace_is_kept_small_between_purges(
    resources: Resources, workspace: UUID, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.query.sql.history._PRUNED_AFTER", 5)
    monkeypatch.setattr(history_store, "_PRUNE", history_store._PRUNE.replace("1000", "10"))
    for number in range(20):
        await ask(resources, workspace, f"SELECT file({number})")
    await resources.history.flush()
    assert await database.fetchval("SELECT count(*) FROM query.sql_history WHERE workspace_id = $1", workspace) <= 15
    assert (await _listed(resources, workspace))[0].query == "SELECT file(19)"


async def test_statements_that_hold_a_text_are_forgotten(resources: Resources, workspace: UUID) -> None:
    other = uuid4()
    for statement in (
        "SELECT 1 WHERE 'jane@x.com' = ''",
        "SELECT 1 WHERE 'JANE@X.com' = ''",
        "SELECT 'O\\'Neil'",
        "SELECT 'o''neil'",
        "SELECT 'a\\\\b'",
        "SELECT 'a' || 'b'",
        "SELECT 'joe@x.com'",
    ):
        await _sent(resources, workspace, statement, status="finished")
        await _sent(resources, other, statement, status="finished")
    assert await history_store.forget(resources.postgres, workspace, ["jane@x.com", "O'Neil", "a\\b"]) == 5
    left = [each.query for each in await _listed(resources, workspace)]
    assert left == ["SELECT 'joe@x.com'", "SELECT 'a' || 'b'"]
    assert await history_store.forget(resources.postgres, workspace, ["jane@x.com"]) == 0
    assert await history_store.forget(resources.postgres, workspace, [""]) == 0
    assert len(await _listed(resources, other)) == 7


async def test_what_is_forgotten_while_it_runs_stays_forgotten(resources: Resources, workspace: UUID) -> None:
    task = asyncio.create_task(ask(resources, workspace, f"{HEAVY} AND 'jane' = ''", seconds=2))
    await asyncio.sleep(1)
    assert await history_store.forget(resources.postgres, workspace, ["jane"]) == 1
    await task
    assert await _listed(resources, workspace) == []


async def test_notes_wait_while_postgresql_is_away(
    resources: Resources, workspace: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(history_store, "write", away)
        assert (await ask(resources, workspace, "SELECT 1")).status == 200
        await asyncio.sleep(0.3)
        with pytest.raises(Unavailable):
            await resources.history.flush()
    assert [each.status for each in await _listed(resources, workspace)] == ["finished"]


async def test_a_statement_is_stopped_while_postgresql_is_away(
    resources: Resources, workspace: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable

    query_id = uuid4()
    task = asyncio.create_task(ask(resources, workspace, HEAVY, query_id=str(query_id)))
    await asyncio.sleep(1)
    with monkeypatch.context() as patch:
        patch.setattr(history_store, "cancel", away)
        await resources.history.cancel(workspace, query_id)
    await resources.sql.cancel(name_of(workspace, query_id))
    assert (await task).status == 409
    assert [each.status for each in await _listed(resources, workspace)] == ["cancelled"]
