"""The handle on ClickHouse against a real server: what is read, what is killed, and what survives a lost connection."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow.parquet
import pytest

from contracts.errors import CdpError, DeadlineExceeded, LimitExceeded, Unavailable
from services.kit.clickhouse import ClickHouse, ClickHouseError, External
from services.kit.settings import Settings

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 3"
WIDE = "SELECT number, repeat('x', 100) FROM numbers(100000000)"


@pytest.fixture
async def clickhouse(infra: Settings) -> AsyncIterator[ClickHouse]:
    handle = ClickHouse(infra.clickhouse_url, infra.clickhouse_http_url, size=2)
    await handle.start()
    yield handle
    await handle.close()


def marked(statement: str) -> tuple[str, str]:
    """Return a statement with a mark by which it is found among those running, and the mark."""
    mark = uuid4().hex
    return f"{statement} SETTINGS log_comment = '{mark}'", mark


async def is_running(clickhouse: ClickHouse, mark: str) -> bool:
    half = len(mark) // 2
    found = await clickhouse.query(
        f"SELECT count() FROM system.processes WHERE position(query, concat('{mark[:half]}', '{mark[half:]}')) > 0",
        query_id=uuid4().hex,
        timeout=5,
    )
    return bool(found.data[0][0])


async def assert_stops(clickhouse: ClickHouse, mark: str) -> None:
    """Soon nothing runs any more under the mark: the statement itself would run for hours."""
    until = time.monotonic() + 10
    while await is_running(clickhouse, mark):
        assert time.monotonic() < until, "the query still runs"
        await asyncio.sleep(0.05)


async def test_a_result_comes_as_columns_whose_texts_are_bytes(clickhouse: ClickHouse) -> None:
    sql = "SELECT number, toString(number) AS text, '100 % é' FROM numbers(70000)"
    result = await clickhouse.query(sql, query_id="a", timeout=10)
    assert [name for name, _ in result.columns][:2] == ["number", "text"]
    assert result.data[0] == list(range(70_000))
    assert next(result.rows()) == (0, b"0", "100 % é".encode())
    assert (result.rows_read, result.bytes_read) == (70_000, 560_000)


async def test_an_empty_result_has_its_columns(clickhouse: ClickHouse) -> None:
    result = await clickhouse.query("SELECT 1 AS one WHERE 0", query_id="a", timeout=10)
    assert (result.columns, result.data, list(result.rows())) == ([("one", "UInt8")], [[]], [])


async def test_texts_that_are_not_utf_8_are_read(clickhouse: ClickHouse) -> None:
    assert (await clickhouse.query("SELECT unhex('ff00')", query_id="a", timeout=5)).data == [[b"\xff\x00"]]


async def test_texts_that_lie_across_two_reads_of_the_socket_are_bytes(clickhouse: ClickHouse) -> None:
    long = "SELECT repeat('text', 100 + number % 50), toFixedString(toString(number), 6), [toString(number)] "
    result = await clickhouse.query(f"{long} FROM numbers(100000)", query_id=uuid4().hex, timeout=20)
    texts, fixed, lists = result.data
    kinds = {type(value) for values in (texts, fixed, (each[0] for each in lists)) for value in values}
    assert kinds == {bytes}
    assert len(set(texts)) == 50


async def test_the_deadline_ends_the_wait_and_the_query(clickhouse: ClickHouse) -> None:
    sql, mark = marked(ENDLESS)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await clickhouse.query(sql, query_id=uuid4().hex, timeout=0.4)
    assert time.monotonic() - begun < 10
    await assert_stops(clickhouse, mark)


async def test_cancelling_the_task_ends_the_query(clickhouse: ClickHouse) -> None:
    sql, mark = marked(ENDLESS)
    task = asyncio.create_task(clickhouse.query(sql, query_id=uuid4().hex, timeout=60))
    while not await is_running(clickhouse, mark):
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_stops(clickhouse, mark)


async def test_leaving_a_stream_early_ends_its_query_and_costs_the_pool_nothing(clickhouse: ClickHouse) -> None:
    for _ in range(4):
        sql, mark = marked(WIDE)
        async with clickhouse.stream(sql, query_id=uuid4().hex, timeout=60) as stream:
            assert len((await anext(stream))[0]) > 0
        await assert_stops(clickhouse, mark)


async def test_an_error_of_the_reader_is_not_replaced(clickhouse: ClickHouse) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with clickhouse.stream(WIDE, query_id=uuid4().hex, timeout=60) as stream:
            async for _ in stream:
                raise ValueError("mine")


async def test_a_reader_that_pauses_buffers_nothing(clickhouse: ClickHouse) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    async with clickhouse.stream(WIDE, query_id=uuid4().hex, timeout=60) as stream:
        await anext(stream)
        before = resident()
        await asyncio.sleep(1)
        assert resident() - before < 20_000_000
        for _ in range(50):
            await anext(stream)
        assert resident() - before < 40_000_000


async def test_more_queries_than_connections_wait_for_each_other(clickhouse: ClickHouse) -> None:
    results = await asyncio.gather(
        *(clickhouse.query(f"SELECT {n}", query_id=uuid4().hex, timeout=10) for n in range(20))
    )
    assert [result.data[0][0] for result in results] == list(range(20))


async def test_waiting_for_a_connection_ends_with_the_deadline(clickhouse: ClickHouse) -> None:
    async with (
        clickhouse.stream(WIDE, query_id=uuid4().hex, timeout=60),
        clickhouse.stream(WIDE, query_id=uuid4().hex, timeout=60),
    ):
        with pytest.raises(DeadlineExceeded):
            await clickhouse.query("SELECT 1", query_id=uuid4().hex, timeout=0.2)


@pytest.mark.parametrize(
    ("setting", "value", "what"),
    [
        ("max_rows_to_read", 10, "rows to read"),
        ("max_memory_usage", 1_000_000, "memory"),
        ("max_result_rows", 10, "rows or bytes of the result"),
    ],
)
async def test_a_limit_is_named(clickhouse: ClickHouse, setting: str, value: int, what: str) -> None:
    sql = "SELECT number FROM numbers(3000000) GROUP BY number"
    with pytest.raises(LimitExceeded, match=what):
        await clickhouse.query(sql, settings={setting: value}, query_id=uuid4().hex, timeout=20)
    assert (await clickhouse.query("SELECT 1", query_id="a", timeout=5)).data == [[1]]


async def test_a_refused_statement_has_the_code_and_name_of_the_server(clickhouse: ClickHouse) -> None:
    with pytest.raises(ClickHouseError) as caught:
        await clickhouse.query("SELECT nothing_such", query_id=uuid4().hex, timeout=5)
    assert (caught.value.code, caught.value.name) == (47, "UNKNOWN_IDENTIFIER")


async def test_an_external_table_travels_with_its_query(clickhouse: ClickHouse) -> None:
    wanted = External("wanted", [("key", "UInt64"), ("id", "String")], [(2, "é"), (3, "it's")])
    sql = "SELECT number, id FROM numbers(5) AS n INNER JOIN wanted ON wanted.key = number ORDER BY number"
    result = await clickhouse.query(sql, query_id=uuid4().hex, timeout=5, external=[wanted])
    assert list(result.rows()) == [(2, "é".encode()), (3, b"it's")]


async def test_inserted_columns_read_back(clickhouse: ClickHouse) -> None:
    table = f"cdp.scratch_{uuid4().hex}"
    await clickhouse.execute(f"CREATE TABLE {table} (n UInt64, t Nullable(String), a Array(String)) ENGINE = Memory")
    try:
        for _ in range(3):
            await clickhouse.insert(table, ["n", "t", "a"], [[1, 2], ["é", None], [["x"], []]])
        result = await clickhouse.query(f"SELECT * FROM {table} ORDER BY n", query_id=uuid4().hex, timeout=5)
        assert result.data == [[1, 1, 1, 2, 2, 2], ["é".encode()] * 3 + [None] * 3, [[b"x"]] * 3 + [[]] * 3]
    finally:
        await clickhouse.execute(f"DROP TABLE {table}")


async def test_parquet_comes_whole_over_http(clickhouse: ClickHouse) -> None:
    body = b""
    sql = "SELECT number, toString(number) AS text FROM numbers(200000)"
    async with clickhouse.http_stream(sql, "Parquet", query_id=uuid4().hex, timeout=20) as stream:
        async for chunk in stream:
            body += chunk
    table = pyarrow.parquet.read_table(io.BytesIO(body))
    assert (table.num_rows, table.column_names) == (200_000, ["number", "text"])


async def test_leaving_an_http_stream_early_ends_its_query(clickhouse: ClickHouse) -> None:
    sql, mark = marked(WIDE)
    async with clickhouse.http_stream(sql, "ArrowStream", query_id=uuid4().hex, timeout=60) as stream:
        await anext(stream)
        assert await is_running(clickhouse, mark)
    await assert_stops(clickhouse, mark)


@pytest.mark.parametrize(
    ("sql", "error"),
    [("SELECT nothing_such", ClickHouseError), ("SELECT throwIf(number > 4000000) FROM numbers(5000000)", CdpError)],
    ids=["before the first byte", "after the first byte"],
)
async def test_an_http_stream_that_fails_is_never_taken_for_whole(
    clickhouse: ClickHouse, sql: str, error: type[Exception]
) -> None:
    with pytest.raises((error, ClickHouseError)):
        async with clickhouse.http_stream(sql, "ArrowStream", query_id=uuid4().hex, timeout=20) as stream:
            async for _ in stream:
                pass


class Proxy:
    """A TCP relay to the server, whose connections a test can cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._writers: list[asyncio.StreamWriter] = []
        self._url = parts
        self._port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        login = self._url.netloc.rpartition("@")[0]
        return self._url._replace(netloc=f"{login}@127.0.0.1:{self._port}").geturl()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def shut(self) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0.05)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            self._writers += [writer, server_writer]
            await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        except OSError:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()


@pytest.fixture
async def proxy(infra: Settings) -> AsyncIterator[Proxy]:
    proxy = Proxy(infra.clickhouse_url)
    await proxy.open()
    yield proxy
    await proxy.shut()


@pytest.fixture
async def proxied(infra: Settings, proxy: Proxy) -> AsyncIterator[ClickHouse]:
    handle = ClickHouse(proxy.url, infra.clickhouse_http_url, size=4)
    await handle.start()
    yield handle
    await handle.close()


async def test_connections_that_died_in_the_pool_fail_no_query(proxied: ClickHouse, proxy: Proxy) -> None:
    for _ in range(3):
        await asyncio.gather(*(proxied.query("SELECT 1", query_id=uuid4().hex, timeout=5) for _ in range(4)))
        proxy.cut()


async def test_a_connection_lost_while_the_query_is_sent_is_tried_once_more(proxied: ClickHouse, proxy: Proxy) -> None:
    await proxied.query("SELECT 1", query_id=uuid4().hex, timeout=5)
    task = asyncio.create_task(proxied.query("SELECT sleep(0.6)", query_id=uuid4().hex, timeout=10))
    await asyncio.sleep(0.3)
    proxy.cut()
    assert (await task).data == [[0]]


async def test_a_connection_lost_in_the_middle_of_an_answer_is_unavailable(proxied: ClickHouse, proxy: Proxy) -> None:
    with pytest.raises(Unavailable):
        async with proxied.stream(WIDE, query_id=uuid4().hex, timeout=20) as stream:
            await anext(stream)
            proxy.cut()
            async for _ in stream:
                pass


async def test_a_server_that_is_away_is_said_at_once_and_found_again(proxied: ClickHouse, proxy: Proxy) -> None:
    await proxied.ping()
    await proxied.query("SELECT 1", query_id=uuid4().hex, timeout=5)
    await proxy.shut()
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await proxied.query("SELECT 1", query_id=uuid4().hex, timeout=5)
    with pytest.raises(Unavailable):
        await proxied.ping()
    with pytest.raises(Unavailable):
        await proxied.execute("SYSTEM RELOAD DICTIONARY cdp.identity")
    assert time.monotonic() - begun < 10
    await proxy.open()
    assert (await proxied.query("SELECT 1", query_id=uuid4().hex, timeout=5)).data == [[1]]
    await proxied.ping()
