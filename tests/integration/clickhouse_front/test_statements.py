"""How a statement is read before the engine sees it."""

from __future__ import annotations

import pytest

from deploy.embedded.clickhouse.errors import ServerError
from deploy.embedded.clickhouse.statements import Kind, parse


@pytest.mark.parametrize(
    ("sql", "kind", "rest"),
    [
        ("SELECT 1", Kind.SELECT, "SELECT 1"),
        ("-- note\nSELECT ';' /* ; */ ;", Kind.SELECT, "-- note\nSELECT ';' /* ; */ "),
        ("SELECT $a$;$a$", Kind.SELECT, "SELECT $a$;$a$"),
        ("SELECT format FROM t", Kind.SELECT, "SELECT format FROM t"),
        ("SELECT 1 FORMAT JSON", Kind.SELECT, "SELECT 1\n"),
        ("SELECT 1 FORMAT JSON SETTINGS a = 1", Kind.SELECT, "SELECT 1\n SETTINGS a = 1"),
        ("WITH 1 AS x SELECT x", Kind.SELECT, "WITH 1 AS x SELECT x"),
        (
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
            Kind.OTHER,
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        ),
        ("show tables", Kind.READ, "show tables"),
        ("INSERT INTO t (a) VALUES", Kind.INSERT, "INSERT INTO t (a) "),
        ("INSERT INTO t FORMAT Native", Kind.INSERT, "INSERT INTO t "),
        ("INSERT INTO t SETTINGS a = 1 VALUES", Kind.INSERT, "INSERT INTO t "),
        ("INSERT INTO t", Kind.INSERT, "INSERT INTO t"),
        ("SET", Kind.OTHER, "SET"),
        ("INSERT INTO t VALUES (1, ';'), (2, '')", Kind.OTHER, "INSERT INTO t VALUES (1, ';'), (2, '')"),
        ("INSERT INTO t (SELECT 1)", Kind.OTHER, "INSERT INTO t (SELECT 1)"),
        ("CREATE TABLE x (a UInt8) ENGINE = Memory;", Kind.OTHER, "CREATE TABLE x (a UInt8) ENGINE = Memory"),
    ],
)
def test_a_statement_is_recognised_and_cut_to_what_runs(sql: str, kind: Kind, rest: str) -> None:
    statement = parse(sql)
    assert (statement.kind, statement.sql) == (kind, rest)


def test_parts_of_statements_are_found() -> None:
    assert parse("SELECT 1 FORMAT JSON").format == "JSON"
    assert parse("SET a = 1, b = 'x,y', c = [1, 2]").assignments == {"a": "1", "b": "'x,y'", "c": "[1, 2]"}
    assert parse("USE `a b`").database == "a b"
    insert = parse("INSERT INTO `d`.`t` (a, `b c`) SETTINGS x = 1 FORMAT CSV 1;2")
    assert (insert.table, insert.columns, insert.settings, insert.format) == (
        "`d`.`t`",
        "a, `b c`",
        "SETTINGS x = 1 ",
        "CSV",
    )
    assert insert.sql[insert.data_start :] == " 1;2"
    assert parse("INSERT INTO FUNCTION null('a UInt8') VALUES").table == "FUNCTION null('a UInt8')"
    kill = parse("KILL QUERY WHERE query_id = 'x' AND elapsed > 1 SYNC")
    assert (kill.condition, kill.mode) == ("query_id = 'x' AND elapsed > 1", "SYNC")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("", 62),
        (" -- nothing\n;", 62),
        ("SELECT 1; SELECT 2", 62),
        ("SET a = 1; SELECT 2", 62),
        ("INSERT INTO t VALUES (1); SELECT 2", 62),
        ("INSERT INTO t SELECT 1; SELECT 2", 62),
        ("INSERT INTO", 62),
        ("INSERT INTO t FORMAT", 62),
        ("SELECT 1 INTO OUTFILE 'x'", 358),
        ("INSERT INTO t FROM INFILE 'x' FORMAT CSV", 48),
    ],
)
def test_what_no_user_may_run_is_refused(sql: str, code: int) -> None:
    with pytest.raises(ServerError) as raised:
        parse(sql)
    assert raised.value.code == code


def test_a_long_list_of_values_is_not_read_twice() -> None:
    sql = "SELECT 1 IN (" + ", ".join(map(str, range(1_000_000))) + ")"
    assert parse(sql).sql is sql
