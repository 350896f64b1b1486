"""Statements take the time from the request, in the types that the engine's functions have."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts.errors import InvalidRequest
from services.query.sql.prepare import prepare

WORKSPACE = UUID("11111111-2222-4333-8444-555555555555")
AS_OF = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
SECOND = "toDateTime(1767323045)"
EXACT = "fromUnixTimestamp64Milli(toInt64('1767323045678'))"


def written(sql: str, as_of: datetime | None = AS_OF) -> str:
    return prepare(sql, WORKSPACE, None, {}, as_of).sql


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("now()", SECOND),
        ("NOW()", SECOND),
        ("now", SECOND),
        ("Current_Timestamp", SECOND),
        ("nowInBlock('UTC')", "toDateTime(1767323045, 'UTC')"),
        ("UTC_timestamp()", "toDateTime(1767323045, 'UTC')"),
        ("now64()", f"toDateTime64({EXACT}, 3)"),
        ("now64(6, 'Asia/Tokyo')", f"toDateTime64({EXACT}, 6, 'Asia/Tokyo')"),
        ("today()", f"toDate({SECOND})"),
        ("CURRENT_DATE", f"toDate({SECOND})"),
        ("yesterday()", f"subtractDays(toDate({SECOND}), 1)"),
        ("localtime()", f"toTime({SECOND})"),
        ("addDays(now(), toHour(now()))", f"addDays({SECOND}, toHour({SECOND}))"),
    ],
)
def test_what_asks_for_the_time_is_told_that_of_the_request(asked: str, answered: str) -> None:
    assert written(f"SELECT 1 WHERE 1 = {asked}") == f"SELECT 1 WHERE 1 = {answered}"
    assert written(f"SELECT {asked} AS t, [{asked}]").startswith(f"SELECT {answered} AS t, [{answered}] AS ")


def test_a_column_keeps_its_name() -> None:
    assert written("SELECT now() - 1, now() AS n") == f'SELECT {SECOND} - 1 AS "now() - 1", {SECOND} AS n'
    assert written("SELECT (SELECT today)") == f'SELECT (SELECT toDate({SECOND}) AS "today")'


def test_a_column_of_such_a_name_is_a_column() -> None:
    for sql in (
        "SELECT now FROM (SELECT 1 AS now) AS t",
        "SELECT arrayMap(today -> today + 1, [1])",
        "SELECT 1 AS current_date, current_date",
        "SELECT t.now FROM (SELECT 1) AS t(now)",
    ):
        assert SECOND not in written(sql)


def test_times_that_no_datetime_holds_are_its_first_and_last() -> None:
    assert written("SELECT 1 WHERE now()", datetime(1900, 1, 1, tzinfo=UTC)) == "SELECT 1 WHERE toDateTime(0)"
    assert written("SELECT 1 WHERE now()", datetime(2299, 1, 1, tzinfo=UTC)) == "SELECT 1 WHERE toDateTime(4294967295)"


def test_without_a_clock_the_engine_s_counts() -> None:
    assert written("SELECT now(), today", None) == "SELECT now(), today"


def test_describe_is_a_select_without_rows() -> None:
    for sql in ("DESCRIBE (SELECT 1 AS a)", "DESC SELECT 1 AS a", "describe table (SELECT 1 AS a);"):
        found = prepare(sql, WORKSPACE, None, {})
        assert found.described and not found.explained
        assert found.sql.replace("((", "(").replace("))", ")") == "SELECT * FROM (SELECT 1 AS a) LIMIT 0"
    for sql in ("DESCRIBE TABLE events_track", "DESC `events_track`", 'DESCRIBE "events_track"'):
        found = prepare(sql, WORKSPACE, None, {})
        assert found.tables == {"cdp.events_track"} and found.sql.endswith(" LIMIT 0")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DESCRIBE TABLE system.users", "line 1, column 16: a statement is a SELECT"),
        ("DESC users", "line 1, column 6: the table users is not there"),
        ("DESCRIBE", "a statement is a SELECT"),
        ("DESCRIBE TABLE file('/etc/passwd')", "line 1, column 16: a statement is a SELECT"),
        ("DESCRIBE (SELECT * FROM file('/etc/passwd'))", "line 1, column 25: the table function file()"),
        ("DESCRIBE TABLE events_track FORMAT CSV", "line 1, column 16: a statement is a SELECT"),
        ("DESCRIBE (SELECT 1) SETTINGS readonly = 0", "SETTINGS is not supported here"),
        ("EXPLAIN DESCRIBE (SELECT 1)", "line 1, column 9: a statement is a SELECT"),
        ("DESCRIBE 'events_track'", "line 1, column 10: a statement is a SELECT"),
    ],
)
def test_what_cannot_be_described_is_refused(sql: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        prepare(sql, WORKSPACE, None, {})
    assert message in raised.value.errors[0].message
