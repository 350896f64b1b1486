"""The HTTP interface, as curl sees it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import uuid
import zlib
from collections.abc import AsyncIterator

import aiohttp
import lz4.frame
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
import zstandard
from asynch.connection import Connection

from .server import Front, fetch
from .test_cancel import ENDLESS, until_running, until_stopped

BASIC = {"Authorization": aiohttp.encode_basic_auth("cdp", "secret")}


@pytest.fixture
async def http(front: Front) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(front.url, headers=BASIC, auto_decompress=False) as client:
        yield client


async def ask(http: aiohttp.ClientSession, sql: str, **params: str) -> bytes:
    async with http.post("/", params=params, data=sql) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        return body


async def test_ping_needs_no_password_and_queries_do(front: Front) -> None:
    async with aiohttp.ClientSession(front.url) as client:
        assert await (await client.get("/ping")).read() == b"Ok.\n"
        answer = await client.get("/?query=SELECT+1")
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
        headers = {"X-ClickHouse-User": "cdp", "X-ClickHouse-Key": "secret"}
        assert await (await client.get("/?query=SELECT+1", headers=headers)).read() == b"1\n"
        assert await (await client.get("/?query=SELECT+1&user=cdp&password=secret")).read() == b"1\n"


async def test_get_and_post_answer_with_the_headers_of_a_server(http: aiohttp.ClientSession) -> None:
    async with http.get("/", params={"query": "SELECT 1 AS x FORMAT JSONEachRow", "query_id": "mine"}) as answer:
        assert await answer.read() == b'{"x":1}\n'
        assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
        assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
        assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
        assert json.loads(answer.headers["X-ClickHouse-Summary"])["read_rows"] == "1"
    assert await ask(http, "SELECT 1", default_format="JSONCompactEachRow") == b"[1]\n"
    assert await ask(http, "SHOW TABLES FROM system LIKE 'one'") == b"one\n"


async def test_settings_parameters_and_database_come_in_the_url(http: aiohttp.ClientSession) -> None:
    assert await ask(http, "SELECT getSetting('max_block_size')", max_block_size="77") == b"77\n"
    assert (
        await ask(http, "SELECT {a:UInt8} + {b:UInt8}, {s:String}", param_a="3", param_b="4", param_s="x") == b"7\tx\n"
    )
    assert await ask(http, "SELECT currentDatabase()", database="system") == b"system\n"


@pytest.mark.parametrize(
    ("sql", "params", "status", "code"),
    [
        ("SELECT nope", {}, 404, 47),
        ("SELECT 1 FROM", {}, 400, 62),
        ("SELECT 1; SELECT 2", {}, 400, 62),
        ("", {}, 400, 62),
        ("SELECT 1", {"no_such_setting": "1"}, 404, 115),
        ("SELECT 1", {"database": "no_such"}, 404, 81),
        ("SELECT 1 FORMAT NoSuch", {}, 400, 73),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", {}, 400, 358),
        ("SELECT 1", {"decompress": "1"}, 501, 48),
    ],
)
async def test_errors_have_a_status_a_code_and_a_name(
    http: aiohttp.ClientSession, sql: str, params: dict[str, str], status: int, code: int
) -> None:
    async with http.post("/", params=params, data=sql) as answer:
        text = await answer.text()
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code)), text
        assert text.startswith(f"Code: {code}. DB::Exception: ")
        assert ".py" not in text


async def test_get_cannot_modify(http: aiohttp.ClientSession) -> None:
    async with http.get("/", params={"query": "CREATE TABLE w (x UInt8) ENGINE = Memory"}) as answer:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "zstd", "lz4"])
async def test_bodies_are_data_in_any_format_and_encoding(http: aiohttp.ClientSession, encoding: str) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await ask(
        http,
        f"CREATE TABLE {table} (id UInt64, s String, d String DEFAULT concat('d', s)) ENGINE = MergeTree ORDER BY id",
    )
    encode = {
        "": bytes,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.ZstdCompressor().compress,
        "lz4": lz4.frame.compress,
    }[encoding]
    headers = {"Content-Encoding": encoding} if encoding else {}
    bodies = {
        f"INSERT INTO {table} (id, s) FORMAT CSV": b'1,"a;b"\n2,"c"\n',
        f"INSERT INTO {table} FORMAT JSONEachRow": b'{"id": 3, "s": "x"}\n\n{"id": 4, "s": "y", "d": "own"}\n',
        f"INSERT INTO {table} (id, s) SETTINGS max_threads = 1 VALUES": b"(5, 'it''s'), (6, 'z')",
    }
    for sql, body in bodies.items():
        async with http.post("/", params={"query": sql}, data=encode(body), headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert await ask(http, f"SELECT * FROM {table} ORDER BY id FORMAT CSV") == (
        b'1,"a;b","da;b"\n2,"c","dc"\n3,"x","dx"\n4,"y","own"\n5,"it\'s","dit\'s"\n6,"z","dz"\n'
    )


async def test_an_insert_and_its_data_may_both_be_the_body(http: aiohttp.ClientSession) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await ask(http, f"CREATE TABLE {table} (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
    await ask(http, f"INSERT INTO {table} FORMAT CSV\n1,a\n2,b\n")
    await ask(http, f"INSERT INTO {table} VALUES (3, 'c'), (4, 'd;e')")
    rows = "\n".join(json.dumps({"id": n, "s": "x" * 50}) for n in range(5, 50005))
    await ask(http, f"INSERT INTO {table} FORMAT JSONEachRow\n{rows}")
    assert await ask(http, f"SELECT count(), sum(id) FROM {table}") == b"50004\t%d\n" % sum(range(50005))


async def test_a_body_cut_off_inserts_nothing(front: Front, http: aiohttp.ClientSession) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await ask(http, f"CREATE TABLE {table} (id UInt64) ENGINE = MergeTree ORDER BY id")

    async def body() -> AsyncIterator[bytes]:
        yield b'{"id": 1}\n{"id": 2}\n'
        await asyncio.sleep(0.3)
        raise ConnectionError

    async with aiohttp.ClientSession(front.url, headers=BASIC) as client:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await client.post("/", params={"query": f"INSERT INTO {table} FORMAT JSONEachRow"}, data=body())
    await asyncio.sleep(0.5)
    assert await ask(http, f"SELECT count() FROM {table}") == b"0\n"


async def test_a_bad_row_or_a_false_encoding_is_an_error(http: aiohttp.ClientSession) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await ask(http, f"CREATE TABLE {table} (id UInt64) ENGINE = MergeTree ORDER BY id")
    async with http.post(
        "/", params={"query": f"INSERT INTO {table} FORMAT JSONEachRow"}, data=b'{"id": "x"}'
    ) as answer:
        assert answer.status == 400
        assert answer.headers["X-ClickHouse-Exception-Code"] == "27"
    async with http.post("/", data=b"SELECT 1", headers={"Content-Encoding": "gzip"}) as answer:
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "271")
    async with http.post("/", data=b"SELECT 1", headers={"Content-Encoding": "br"}) as answer:
        assert answer.status == 501


async def test_documents_of_any_format_are_whole(http: aiohttp.ClientSession) -> None:
    sql = "SELECT number AS n, toString(number) AS s FROM numbers(300000) FORMAT "
    parquet = pyarrow.parquet.read_table(io.BytesIO(await ask(http, sql + "Parquet")))
    assert (parquet.num_rows, parquet.column_names) == (300000, ["n", "s"])
    assert pa.ipc.open_file(await ask(http, sql + "Arrow")).read_all().num_rows == 300000
    assert pa.ipc.open_stream(await ask(http, sql + "ArrowStream")).read_all().num_rows == 300000
    assert len(json.loads(await ask(http, sql + "JSON"))["data"]) == 300000
    assert (await ask(http, sql + "CSVWithNames")).count(b'"n"') == 1
    assert (await ask(http, "SELECT 1 AS n WHERE 0 FORMAT CSVWithNames")) == b'"n"\n'


async def test_answers_are_compressed_when_asked(http: aiohttp.ClientSession) -> None:
    sql = "SELECT number FROM numbers(100000)"
    for encoding, decode in [
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
        ("zstd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
    ]:
        headers = {"Accept-Encoding": encoding}
        async with http.post("/", params={"enable_http_compression": "1"}, data=sql, headers=headers) as answer:
            assert answer.headers["Content-Encoding"] == encoding
            assert decode(await answer.read()).count(b"\n") == 100000


async def test_sessions_keep_settings_and_temporary_tables(http: aiohttp.ClientSession) -> None:
    session = uuid.uuid4().hex
    await ask(http, "SET max_block_size = 99", session_id=session)
    await ask(http, "CREATE TEMPORARY TABLE mine (x UInt8)", session_id=session)
    assert await ask(http, "SELECT getSetting('max_block_size'), count() FROM mine", session_id=session) == b"99\t0\n"
    assert await ask(http, "SELECT getSetting('max_block_size') = 99") == b"0\n"


async def test_an_error_midway_breaks_the_answer_off_and_says_why(http: aiohttp.ClientSession) -> None:
    received = b""
    with pytest.raises(aiohttp.ClientPayloadError):
        async with http.post("/", data="SELECT throwIf(number = 2000000) FROM numbers(3000000)") as answer:
            assert answer.status == 200
            async for piece in answer.content.iter_any():
                received += piece
    assert b"FUNCTION_THROW_IF_VALUE_IS_NON_ZERO" in received


@pytest.mark.parametrize("sql", [ENDLESS, "SELECT number FROM numbers(100000000000)"])
async def test_a_client_that_disconnects_stops_its_query(
    http: aiohttp.ClientSession, plain: Connection, sql: str
) -> None:
    marker = uuid.uuid4().hex

    async def read() -> None:
        async with http.post("/", data=f"{sql} {'AND' if 'WHERE' in sql else 'WHERE'} '{marker}' != ''") as answer:
            await answer.content.readexactly(1000)
            await asyncio.sleep(60)

    task = asyncio.create_task(read())
    await until_running(plain, marker)
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until_stopped(plain, marker)


async def test_kill_query_reaches_http_queries(http: aiohttp.ClientSession, plain: Connection) -> None:
    task = asyncio.create_task(http.post("/", params={"query_id": "over-http"}, data=ENDLESS))
    await asyncio.sleep(0.5)
    assert (await fetch(plain, "KILL QUERY WHERE query_id = 'over-http' SYNC"))[0][1] == "over-http"
    answer = await asyncio.wait_for(task, 10)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "394"


async def test_nonsense_gets_a_client_error(front: Front, http: aiohttp.ClientSession) -> None:
    async with http.put("/", data=b"x") as answer:
        assert answer.status == 501
    async with http.post("/nowhere", data=b"x") as answer:
        assert answer.status == 404
    reader, writer = await asyncio.open_connection("127.0.0.1", front.http_port)
    writer.write(b"\x00\x01garbage\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
