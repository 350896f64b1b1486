"""A read-only user reads tables, and nothing else, whatever its SQL says."""

from __future__ import annotations

import urllib.parse
import uuid

import aiohttp
import pytest
from asynch.connection import Connection
from asynch.errors import ServerException

from .server import Front, fetch

REFUSED = [
    ("SET readonly = 0", 164),
    ("SET max_threads = 1", 164),
    ("SELECT 1 SETTINGS readonly = 0", 164),
    ("SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)", 164),
    ("INSERT INTO {table} VALUES (1)", 164),
    ("INSERT INTO {table} SELECT 1", 164),
    ("CREATE TABLE w (x UInt8) ENGINE = Memory", 164),
    ("CREATE TEMPORARY TABLE w (x UInt8)", 164),
    ("DROP TABLE {table}", 164),
    ("ALTER TABLE {table} DELETE WHERE 1", 164),
    ("TRUNCATE TABLE {table}", 164),
    ("OPTIMIZE TABLE {table}", 164),
    ("SYSTEM RELOAD DICTIONARIES", 164),
    ("KILL QUERY WHERE 1", 164),
    ("USE system", 164),
    ("CHECK TABLE {table}", 164),
    ("SELECT 1; DROP TABLE {table}", 62),
    ("SELECT 1 INTO OUTFILE '/tmp/x'", 358),
    ("SELECT 1 /* */ INTO/**/OUTFILE '/tmp/x'", 358),
    ("(SELECT 1) INTO OUTFILE '/tmp/x'", 358),
    ("SELECT file('/etc/passwd')", 446),
    ("SELECT FILE('/etc/passwd')", 446),
    ("SELECT `file`('/etc/passwd')", 446),
    ("SELECT `fi\\x6ce`('/etc/passwd')", 446),
    ("SELECT \"file\"('/etc/passwd')", 446),
    ("SELECT arrayMap(x -> file(x), ['/etc/passwd'])", 446),
    ("WITH (SELECT file('/etc/passwd')) AS x SELECT x", 446),
    ("SELECT 1 IN (SELECT * FROM file('/etc/passwd', 'LineAsString'))", 446),
    ("SELECT * FROM file('/etc/passwd', 'LineAsString')", 446),
    ("SELECT * FROM url('http://127.0.0.1:1/', 'CSV')", 446),
    ("SELECT * FROM remote('127.0.0.1', system.one)", 446),
    ("SELECT * FROM merge('system', 'one')", 446),
    ("SELECT * FROM s3('http://127.0.0.1:1/b/k')", 446),
    ("SELECT * FROM view(SELECT file('/etc/passwd'))", 446),
    ("SELECT * FROM eval('SELECT 1')", 446),
    ("SELECT * FROM python('x')", 446),
    ("SELECT * FROM executable('ls', 'TSV', 'x String')", 446),
    ("SELECT dictGet('d', 'v', 1)", 446),
    ("SELECT dictHas('d', 1)", 446),
    ("SELECT * FROM dictionary('d')", 446),
    ("DESCRIBE TABLE file('/etc/passwd', 'LineAsString')", 446),
    ("EXPLAIN SELECT file('/etc/passwd')", 446),
    ("EXPLAIN ESTIMATE SELECT * FROM url('http://127.0.0.1:1/', 'CSV')", 446),
]


@pytest.fixture
async def table(plain: Connection) -> str:
    name = f"t_{uuid.uuid4().hex}"
    await fetch(plain, f"CREATE TABLE {name} (x UInt8) ENGINE = MergeTree ORDER BY x")
    await fetch(plain, f"INSERT INTO {name} VALUES (5)")
    return name


async def test_a_read_only_user_reads(reader: Connection, table: str) -> None:
    assert await fetch(reader, f"SELECT sum(x) FROM {table}") == [(5,)]
    assert await fetch(reader, f"WITH 1 AS y SELECT x + y FROM {table}") == [(6,)]
    assert await fetch(reader, f"EXISTS TABLE {table}") == [(1,)]
    assert await fetch(reader, "SELECT count() FROM numbers(10)") == [(10,)]
    assert await fetch(reader, "SELECT getSetting('max_execution_time') = 30") == [(1,)]
    assert len(await fetch(reader, f"DESCRIBE TABLE {table}")) == 1
    assert await fetch(reader, f"SHOW CREATE TABLE {table}") != []
    assert await fetch(reader, f"EXPLAIN SELECT * FROM {table}") != []


@pytest.mark.parametrize(("sql", "code"), REFUSED, ids=[sql for sql, _ in REFUSED])
async def test_a_read_only_user_is_refused(
    front: Front, reader: Connection, plain: Connection, table: str, sql: str, code: int
) -> None:
    text = sql.replace("{table}", table)
    with pytest.raises(ServerException) as raised:
        await fetch(reader, text)
    assert raised.value.code == code
    headers = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "look"}
    async with aiohttp.ClientSession(headers=headers) as client:
        async with client.post(f"{front.url}/", data=text) as answer:
            assert answer.headers["X-ClickHouse-Exception-Code"] == str(code)
            assert answer.status >= 400
        async with client.get(f"{front.url}/?query={urllib.parse.quote(text)}") as answer:
            assert answer.status >= 400
    assert await fetch(plain, f"SELECT * FROM {table}") == [(5,)]


async def test_a_setting_sent_by_a_read_only_user_is_error_164(reader: Connection) -> None:
    with pytest.raises(ServerException) as raised:
        await fetch(reader, "SELECT 1", settings={"max_execution_time": 1000})
    assert raised.value.code == 164
    assert await fetch(reader, "SELECT 1") == [(1,)]
    assert await fetch(reader, "SELECT 1", settings={"max_execution_time": 30}) == [(1,)]
