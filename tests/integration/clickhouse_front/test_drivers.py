"""clickhouse-driver, dbmate (clickhouse-go) and clickhouse-connect, each as it comes."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from .server import Front


@pytest.fixture(params=[False, "lz4", "zstd"], ids=["plain", "lz4", "zstd"])
def client(front: Front, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client("127.0.0.1", front.tcp_port, user="cdp", password="secret", compression=request.param) as connected:
        yield connected


def test_clickhouse_driver_reads_and_writes(client: Client) -> None:
    table = f"t_{uuid.uuid4().hex}"
    client.execute(
        f"CREATE TABLE {table} (id UInt64, s String, n Nullable(Int8), l LowCardinality(String), a Array(String), "
        "m Map(String, UInt8), j JSON, d UInt64 DEFAULT id * 3) ENGINE = MergeTree ORDER BY id"
    )
    rows = [
        (n, "s" * (n % 300), None if n % 2 else n % 100, f"l{n % 5}", ["a", str(n)], {"k": n % 9}, {"p": n})
        for n in range(2000)
    ]
    assert client.execute(f"INSERT INTO {table} (id, s, n, l, a, m, j) VALUES", rows) == 2000
    assert client.execute(f"SELECT id, s, n, l, a, m, j FROM {table} ORDER BY id") == rows
    assert client.execute(f"SELECT sum(d) FROM {table}") == [(3 * sum(range(2000)),)]


def test_clickhouse_driver_gets_columns_of_an_empty_result(client: Client) -> None:
    assert client.execute("SELECT 1 AS x WHERE 0", with_column_types=True) == ([], [("x", "UInt8")])


def test_clickhouse_driver_uses_server_side_parameters(front: Front) -> None:
    settings = {"server_side_params": True}
    with Client("127.0.0.1", front.tcp_port, user="cdp", password="secret", settings=settings) as client:
        value = "it's \\ a\n'tab\t; DROP"
        assert client.execute("SELECT {s:String}, {n:UInt32} + 1", {"s": value, "n": 41}) == [(value, 42)]
        assert client.execute("SELECT {s:String}", {"s": "other"}) == [("other",)]


def test_clickhouse_driver_sends_external_tables_and_cancels(client: Client) -> None:
    tables = [
        {
            "name": "ext",
            "structure": [("x", "Int32"), ("a", "Array(Int32)")],
            "data": [{"x": 1, "a": [1]}, {"x": 2, "a": []}],
        }
    ]
    assert client.execute("SELECT sum(x), sum(length(a)) FROM ext", external_tables=tables) == [(3, 1)]
    with pytest.raises(ServerException) as raised:
        client.execute("SELECT * FROM ext")
    assert raised.value.code == 60
    stream = client.execute_iter("SELECT number FROM numbers(100000000)")
    assert next(stream) == (0,)
    client.cancel()
    assert client.execute("SELECT 1") == [(1,)]


def test_clickhouse_driver_streams_and_reports_progress(client: Client) -> None:
    stream = client.execute_iter("SELECT number, toString(number) FROM numbers(300000)", chunk_size=50000)
    assert sum(len(chunk) for chunk in stream) == 300000
    assert client.last_query.progress.rows == 300000


def test_dbmate_migrates_up_and_down(front: Front, tmp_path: Path) -> None:
    (tmp_path / "20260101000000_one.sql").write_text(
        "-- migrate:up\nCREATE TABLE one (id UInt64, j JSON) ENGINE = MergeTree ORDER BY id;\n\n"
        "-- migrate:down\nDROP TABLE one;\n"
    )
    (tmp_path / "20260102000000_two.sql").write_text(
        "-- migrate:up\nINSERT INTO one (id, j) VALUES (1, '{\"a\": 1}');\n\n-- migrate:down\nTRUNCATE TABLE one;\n"
    )
    database = f"d_{uuid.uuid4().hex}"
    url = f"clickhouse://cdp:secret@127.0.0.1:{front.tcp_port}/{database}"
    binary = Path(sys.executable).with_name("dbmate")

    def dbmate(*command: str) -> str:
        arguments = ["--url", url, "-d", str(tmp_path), "--migrations-table", "migrations", "--no-dump-schema"]
        done = subprocess.run([binary, *arguments, *command], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    with Client("127.0.0.1", front.tcp_port, user="cdp", password="secret") as client:
        dbmate("wait")
        assert "Applied: 20260102000000_two.sql" in dbmate("up")
        assert client.execute(f"SELECT id, toString(j.a) FROM {database}.one") == [(1, "1")]
        assert "Pending: 0" in dbmate("status")
        dbmate("up")
        dbmate("rollback")
        assert client.execute(f"SELECT count() FROM {database}.one") == [(0,)]
        assert "Pending: 1" in dbmate("status")


def test_clickhouse_connect_reads_and_writes(front: Front) -> None:
    options = {"host": "127.0.0.1", "port": front.http_port}
    client = clickhouse_connect.get_client(username="cdp", password="secret", **options)
    table = f"t_{uuid.uuid4().hex}"
    client.command(f"CREATE TABLE {table} (id UInt64, s String, n Nullable(Float64)) ENGINE = MergeTree ORDER BY id")
    assert client.insert(table, [[1, "x", None], [2, "it's", 2.5]], column_names=["id", "s", "n"]).written_rows == 2
    assert client.query(f"SELECT * FROM {table} ORDER BY id").result_rows == [(1, "x", None), (2, "it's", 2.5)]
    assert client.query("SELECT {v:String}", parameters={"v": "a'b\\c\nd"}).result_rows == [("a'b\\c\nd",)]
    assert client.query_arrow("SELECT number FROM numbers(200000)").num_rows == 200000
    assert client.query("SELECT 1 AS x LIMIT 0").column_names == ("x",)
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as stream:
        assert sum(len(block) for block in stream) == 300000
    with pytest.raises(clickhouse_connect.driver.exceptions.DatabaseError, match="UNKNOWN_IDENTIFIER"):
        client.query("SELECT nope")
    reader = clickhouse_connect.get_client(username="reader", password="look", **options)
    assert reader.query(f"SELECT count() FROM {table}").result_rows == [(2,)]
    with pytest.raises(clickhouse_connect.driver.exceptions.DatabaseError, match="READONLY"):
        reader.insert(table, [[3, "y", None]], column_names=["id", "s", "n"])
