"""Stopping what runs: Cancel packets, clients that leave, KILL QUERY by the client's id."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
from asynch.connection import Connection
from asynch.errors import ServerException

from .server import Front, fetch

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


async def running(connection: Connection, sql: str) -> int:
    """Engine queries of that text."""
    rows = await fetch(
        connection, f"SELECT count() FROM system.processes WHERE query LIKE '%{sql}%' AND query NOT LIKE '%processes%'"
    )
    return int(rows[0][0])


async def until_stopped(connection: Connection, sql: str) -> None:
    begun = time.monotonic()
    while await running(connection, sql):
        assert time.monotonic() - begun < 10, "the query still runs"
        await asyncio.sleep(0.02)


async def until_running(connection: Connection, sql: str) -> None:
    for _ in range(1_000):
        if await running(connection, sql):
            return
        await asyncio.sleep(0.02)
    pytest.fail("the query did not start")


async def test_a_client_that_leaves_stops_its_query(front: Front, plain: Connection) -> None:
    marker = uuid.uuid4().hex
    leaving = front.connection()
    await leaving.connect()
    task = asyncio.create_task(fetch(leaving, f"{ENDLESS} AND '{marker}' != ''"))
    await until_running(plain, marker)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await leaving.close()
    await until_stopped(plain, marker)


async def test_a_client_that_stops_reading_and_leaves_stops_its_query(front: Front, plain: Connection) -> None:
    marker = uuid.uuid4().hex
    leaving = front.connection()
    await leaving.connect()
    result = await leaving._connection.execute_iter(f"SELECT number, '{marker}' FROM numbers(1000000000)")
    packets = result.packet_generator
    await packets.__anext__()
    assert await running(plain, marker) == 1
    await leaving.close()
    await until_stopped(plain, marker)


async def test_cancel_ends_the_stream_and_keeps_the_connection(front: Front, plain: Connection) -> None:
    marker = uuid.uuid4().hex
    async with front.connection() as connected:
        task = asyncio.create_task(fetch(connected, f"{ENDLESS} AND '{marker}' != ''"))
        await until_running(plain, marker)
        await connected._connection.cancel()
        await asyncio.wait_for(task, 10)
        assert await fetch(connected, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("mode", ["SYNC", "ASYNC", ""])
async def test_kill_query_knows_the_id_the_client_gave(front: Front, plain: Connection, mode: str) -> None:
    query_id = f"mine-{uuid.uuid4().hex}"
    async with front.connection() as connected:
        task = asyncio.create_task(fetch(connected, f"{ENDLESS} AND '{query_id}' != ''", query_id=query_id))
        await until_running(plain, query_id)
        (row,) = await fetch(plain, f"KILL QUERY WHERE query_id = '{query_id}' {mode}")
        assert row[:3] == ("finished" if mode == "SYNC" else "waiting", query_id, "cdp")
        with pytest.raises(ServerException) as raised:
            await asyncio.wait_for(task, 10)
        assert raised.value.code == 394
        assert await fetch(connected, "SELECT 1") == [(1,)]
    assert await fetch(plain, f"KILL QUERY WHERE query_id = '{query_id}'") == []


async def test_kill_query_reaches_an_insert_select_and_a_streaming_select(front: Front, plain: Connection) -> None:
    for sql in (
        "INSERT INTO FUNCTION null('n UInt64') SELECT number FROM numbers(1000000000000)",
        "SELECT number FROM numbers(1000000000000) WHERE sipHash64(number) % 1000000 = 0",
    ):
        query_id = f"mine-{uuid.uuid4().hex}"
        async with front.connection() as connected:
            task = asyncio.create_task(fetch(connected, sql, query_id=query_id))
            await asyncio.sleep(0.3)
            await fetch(plain, f"KILL QUERY WHERE query_id = '{query_id}' SYNC")
            with pytest.raises(ServerException) as raised:
                await asyncio.wait_for(task, 10)
            assert raised.value.code == 394


async def test_two_running_queries_cannot_share_an_id(front: Front, plain: Connection) -> None:
    async with front.connection() as connected:
        task = asyncio.create_task(fetch(connected, "SELECT sleep(1)", query_id="twin"))
        await asyncio.sleep(0.3)
        with pytest.raises(ServerException) as raised:
            await fetch(plain, "SELECT 1", query_id="twin")
        assert raised.value.code == 216
        await task


async def test_max_execution_time_ends_a_query(plain: Connection) -> None:
    with pytest.raises(ServerException) as raised:
        await asyncio.wait_for(fetch(plain, ENDLESS, settings={"max_execution_time": 1}), 20)
    assert raised.value.code == 159
