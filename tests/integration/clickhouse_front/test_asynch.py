"""The asynch client: everything a service does."""

from __future__ import annotations

import asyncio
import datetime
import time
import uuid

import pytest
from asynch.connection import Connection
from asynch.errors import ServerException

from .server import Front, fetch


async def test_rows_of_many_types_arrive_as_their_python_values(connection: Connection) -> None:
    rows = await fetch(
        connection,
        "SELECT 1::UInt8, -5::Int64, 'ü', NULL, [1, 2], map('a', 1), (1, 'b'), toLowCardinality('c'), 1.5::Float64, "
        "'12.34'::Decimal(10, 2), toDate('2026-01-02'), toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC'), "
        "toFixedString('ab', 2), '10.0.0.1'::IPv4, true, 'x'::Enum8('x' = 1), "
        "'61f0c404-5cb3-11e7-907b-a6006ad3dba0'::UUID, [[NULL, 'z']]",
    )
    (row,) = rows
    assert row[:9] == (1, -5, "ü", None, [1, 2], {"a": 1}, (1, "b"), "c", 1.5)
    assert str(row[9]) == "12.34"
    assert row[10] == datetime.date(2026, 1, 2)
    assert row[11] == datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.UTC)
    assert [str(value) for value in row[12:14]] == ["ab", "10.0.0.1"]
    assert row[14:16] == (True, "x")
    assert str(row[16]) == "61f0c404-5cb3-11e7-907b-a6006ad3dba0"
    assert row[17] == [[None, "z"]]


async def test_json_and_dynamic_columns_arrive_as_values(connection: Connection) -> None:
    sql = """SELECT '{"a": 1, "b": {"c": [1, 2]}, "d": "x"}'::JSON, 5::Int64::Dynamic"""
    assert await fetch(connection, sql) == [({"a": 1, "b": {"c": [1, 2]}, "d": "x"}, 5)]


async def test_json_with_typed_paths_arrives_as_text_when_asked(connection: Connection) -> None:
    sql = """SELECT '{"t": 7, "u": "v"}'::JSON(t UInt32)"""
    settings = {"output_format_native_write_json_as_string": 1}
    assert await fetch(connection, sql, settings=settings) == [({"t": 7, "u": "v"},)]


async def test_an_empty_result_still_names_its_columns(connection: Connection) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT number AS n, toString(number) AS s FROM numbers(5) WHERE number > 10")
        assert [column[0] for column in cursor.description] == ["n", "s"]
        assert await cursor.fetchall() == []


async def test_inserted_blocks_meet_defaults_materialized_and_json_columns(connection: Connection) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await fetch(
        connection,
        f"CREATE TABLE {table} (id UInt64, s String, tags Array(LowCardinality(String)), n Nullable(Int32), j JSON, "
        "twice UInt64 MATERIALIZED id * 2, d String DEFAULT concat('d', s), a String ALIAS s) "
        "ENGINE = MergeTree ORDER BY id",
    )
    async with connection.cursor() as cursor:
        await cursor.execute(
            f"INSERT INTO {table} (id, s, tags, n, j) VALUES",
            [(1, "x", ["a", "b"], None, {"k": 1}), (2, "y" * 300, [], 5, {"k": "v", "l": [1]})],
        )
    rows = await fetch(connection, f"SELECT id, s, tags, n, j, twice, d FROM {table} ORDER BY id")
    assert rows == [
        (1, "x", ["a", "b"], None, {"k": 1}, 2, "dx"),
        (2, "y" * 300, [], 5, {"k": "v", "l": [1]}, 4, "d" + "y" * 300),
    ]


async def test_inline_values_and_insert_select_work(connection: Connection) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await fetch(connection, f"CREATE TABLE {table} (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
    await fetch(connection, f"INSERT INTO {table} VALUES (1, 'a;b'), (2, 'it''s')")
    await fetch(connection, f"INSERT INTO {table} SELECT number + 10, 'n' FROM numbers(3)")
    assert await fetch(connection, f"SELECT id, s FROM {table} ORDER BY id") == [
        *[(1, "a;b"), (2, "it's")],
        *[(10, "n"), (11, "n"), (12, "n")],
    ]


async def test_a_failed_insert_tells_its_error_and_leaves_the_connection_usable(connection: Connection) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await fetch(
        connection, f"CREATE TABLE {table} (id UInt64, CONSTRAINT c CHECK id < 5) ENGINE = MergeTree ORDER BY id"
    )
    with pytest.raises(ServerException) as raised:
        async with connection.cursor() as cursor:
            await cursor.execute(f"INSERT INTO {table} (id) VALUES", [(1,), (9,)])
    assert raised.value.code == 469
    with pytest.raises(ServerException) as raised:
        async with connection.cursor() as cursor:
            await cursor.execute(f"INSERT INTO {table} (nope) VALUES", [(1,)])
    assert raised.value.code == 16
    assert await fetch(connection, f"SELECT count() FROM {table}") == [(0,)]


async def test_errors_carry_clickhouse_codes_and_names_without_a_stack(plain: Connection) -> None:
    for sql, code, name in [
        ("SELECT nope", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nope", 60, "UNKNOWN_TABLE"),
        ("SELECT 1 FROM", 62, "SYNTAX_ERROR"),
        ("SELECT throwIf(number = 900000) FROM numbers(1000000)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("SELECT 1 INTO OUTFILE '/tmp/out'", 358, "INTO_OUTFILE_NOT_ALLOWED"),
        ("SELECT 1 SETTINGS max_threads = 'x'", 27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    ]:
        with pytest.raises(ServerException) as raised:
            await fetch(plain, sql)
        assert raised.value.code == code, sql
        assert f"({name})" in str(raised.value), sql
        assert "Traceback" not in str(raised.value)
        assert ".py" not in str(raised.value)
    assert await fetch(plain, "SELECT 1") == [(1,)]


async def test_settings_of_a_query_end_with_it_and_set_lasts(plain: Connection) -> None:
    asked = "SELECT getSetting('max_block_size'), getSetting('max_threads')"
    (default,) = await fetch(plain, asked)
    assert await fetch(plain, asked, settings={"max_block_size": 77}) == [(77, default[1])]
    assert await fetch(plain, asked) == [default]
    await fetch(plain, "SET max_block_size = 99")
    assert await fetch(plain, asked) == [(99, default[1])]
    assert await fetch(plain, asked, settings={"max_block_size": 77}) == [(77, default[1])]
    assert await fetch(plain, asked) == [(99, default[1])]
    assert await fetch(plain, asked + " SETTINGS max_block_size = 55") == [(55, default[1])]


async def test_an_unknown_setting_is_ignored_unless_important(front: Front, plain: Connection) -> None:
    assert await fetch(plain, "SELECT 1", settings={"no_such_setting": 1}) == [(1,)]
    async with front.connection(settings_is_important=True) as strict:
        with pytest.raises(ServerException) as raised:
            await fetch(strict, "SELECT 1", settings={"no_such_setting": 1})
    assert raised.value.code == 115


async def test_sessions_do_not_share_settings_database_or_temporary_tables(front: Front) -> None:
    async with front.connection() as one, front.connection() as two:
        await fetch(one, "SET max_block_size = 99")
        await fetch(one, "USE system")
        await fetch(one, "CREATE TEMPORARY TABLE mine (x UInt8)")
        assert await fetch(one, "SELECT currentDatabase(), count() FROM mine") == [("system", 0)]
        assert await fetch(two, "SELECT currentDatabase(), getSetting('max_block_size') = 99") == [("default", 0)]
        with pytest.raises(ServerException) as raised:
            await fetch(two, "SELECT * FROM mine")
    assert raised.value.code == 60


async def test_the_database_of_the_hello_is_current_and_must_exist(front: Front) -> None:
    async with front.connection(database="system") as connected:
        assert await fetch(connected, "SELECT currentDatabase()") == [("system",)]
    with pytest.raises(ServerException) as raised:
        await front.connection(database="no_such").connect()
    assert raised.value.code == 81


async def test_a_wrong_password_is_refused_as_an_unknown_user_is(front: Front) -> None:
    for user, password in [("cdp", "wrong"), ("nobody", "secret"), ("cdp", "")]:
        with pytest.raises(ServerException) as raised:
            await front.connection(user, password).connect()
        assert raised.value.code == 516


async def test_external_tables_are_seen_by_their_query_only(connection: Connection) -> None:
    async with connection.cursor() as cursor:
        cursor.set_external_table(
            "ids", [("x", "UInt32"), ("s", "String")], [{"x": n, "s": str(n)} for n in range(500)]
        )
        await cursor.execute("SELECT sum(x), max(length(s)) FROM ids")
        assert await cursor.fetchall() == [(sum(range(500)), 3)]
    with pytest.raises(ServerException) as raised:
        await fetch(connection, "SELECT * FROM ids")
    assert raised.value.code == 60
    async with connection.cursor() as cursor:
        cursor.set_external_table("ids", [("y", "String")], [{"y": "again"}])
        await cursor.execute("SELECT y FROM ids")
        assert await cursor.fetchall() == [("again",)]


async def test_a_read_only_user_can_send_external_tables(reader: Connection) -> None:
    for value in (1, 2):
        async with reader.cursor() as cursor:
            cursor.set_external_table("ids", [("x", "UInt32")], [{"x": value}])
            await cursor.execute("SELECT x FROM ids")
            assert await cursor.fetchall() == [(value,)]
        with pytest.raises(ServerException) as raised:
            await fetch(reader, "CREATE TABLE default.w (x UInt8) ENGINE = Memory")
        assert raised.value.code == 164


async def test_progress_and_profile_are_reported(plain: Connection) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await fetch(plain, f"CREATE TABLE {table} (id UInt64) ENGINE = MergeTree ORDER BY id")
    await fetch(plain, f"INSERT INTO {table} SELECT number FROM numbers(300000)")
    async with plain.cursor() as cursor:
        await cursor.execute(f"SELECT id FROM {table} WHERE id % 2 = 0")
        assert len(await cursor.fetchall()) == 150000
    query = plain._connection.last_query
    assert query.progress.rows == 300000
    assert query.progress.total_rows == 300000
    assert query.profile_info.rows == 150000


async def test_a_result_without_rows_reports_what_was_read(plain: Connection) -> None:
    for numbers, read in (("numbers(300000)", 300000), ("numbers(0)", 0)):
        result = await plain._connection.execute_iter(f"SELECT number FROM {numbers} WHERE sipHash64(number) = 1")
        async for _ in result.packet_generator:
            pass
        assert plain._connection.last_query.progress.rows == read


async def test_queries_of_separate_connections_run_at_once(front: Front) -> None:
    async def nap() -> None:
        async with front.connection() as connected:
            await fetch(connected, "SELECT sleep(1)")

    begun = time.monotonic()
    await asyncio.gather(*(nap() for _ in range(6)))
    assert time.monotonic() - begun < 5.5


async def test_server_identity_is_that_of_a_clickhouse_in_utc(plain: Connection) -> None:
    info = plain._connection.server_info
    assert (info.name, info.timezone) == ("ClickHouse", "UTC")
    assert (info.version_major, info.version_minor) == (26, 9)
    (row,) = await fetch(plain, "SELECT version(), timezone(), toString(toDateTime(0))")
    assert row[0].startswith("26.9.")
    assert row[1:] == ("UTC", "1970-01-01 00:00:00")


async def test_statements_without_rows_and_small_results_work(plain: Connection) -> None:
    assert await fetch(plain, "EXISTS TABLE system.one") == [(1,)]
    assert (await fetch(plain, "DESCRIBE TABLE system.one"))[0][:2] == ("dummy", "UInt8")
    assert ("default",) in await fetch(plain, "SHOW DATABASES")
    assert await fetch(plain, "EXPLAIN SELECT 1") != []
    async with plain.cursor() as cursor:
        await cursor.execute("SHOW TABLES LIKE 'no such table'")
        assert [column[0] for column in cursor.description] == ["name"]
    assert await fetch(plain, "SELECT 1 AS x FORMAT JSON") == [(1,)]


async def test_engine_features_of_the_event_tables_pass_through(plain: Connection) -> None:
    table = f"t_{uuid.uuid4().hex}"
    await fetch(
        plain,
        f"CREATE TABLE {table} (id UInt64, v UInt64, s String, day Date MATERIALIZED toDate(v), "
        "PROJECTION by_s (SELECT s, count() GROUP BY s)) "
        "ENGINE = ReplacingMergeTree(v) ORDER BY id SETTINGS enable_block_number_column = 1, "
        "min_age_to_force_merge_seconds = 1, deduplicate_merge_projection_mode = 'rebuild'",
    )
    await fetch(plain, f"CREATE TABLE {table}_sum (s String, n UInt64) ENGINE = SummingMergeTree ORDER BY s")
    await fetch(
        plain, f"CREATE MATERIALIZED VIEW {table}_mv TO {table}_sum AS SELECT s, count() n FROM {table} GROUP BY s"
    )
    for value in (1, 2, 3):
        await fetch(plain, f"INSERT INTO {table} (id, v, s) VALUES (7, {value}, 'k')")
    assert await fetch(plain, f"SELECT id, v FROM {table} FINAL") == [(7, 3)]
    assert await fetch(plain, f"SELECT s, sum(n) FROM {table}_sum GROUP BY s") == [("k", 3)]
    assert await fetch(plain, f"SELECT count() > 0 FROM {table} WHERE _block_number > 0") == [(1,)]
    for _ in range(80):
        if await fetch(plain, f"SELECT count() FROM {table}") == [(1,)]:
            return
        await asyncio.sleep(0.25)
    pytest.fail("the parts were not merged in the background")
