"""What a statement would read follows from how the engine resolves it and from the sizes of columns."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.query.sql.sizes import Sizes, columns_read, estimate, sampled_sql

TREE = """QUERY id: 0
    COLUMN id: 2, column_name: event, result_type: LowCardinality(String), source_id: 3
    COLUMN id: 5, column_name: properties.a, id: 7, column_name: b, result_type: Dynamic, source_id: 9
    COLUMN id: 6, column_name: event, result_type: LowCardinality(String), source_id: 9
    COLUMN id: 6, column_name: event, result_type: LowCardinality(String), source_id: 9
    TABLE id: 9, alias: __table2, table_name: cdp.events_track, final: 1
    TABLE id: 12, alias: __table3, table_name: cdp.events_track, final: 1
    COLUMN id: 13, column_name: workspace_id, result_type: UUID, source_id: 12
    TABLE id: 14, table_name: system.one
    TABLE_FUNCTION id: 16, alias: __table4, table_function_name: numbers""".splitlines()
SIZES = Sizes({"event": 1.0, "properties": 50.0, "context": 200.0, "context.ip": 10.0, "workspace_id": 16.0}, 300.0)


def test_the_columns_are_those_of_each_time_that_a_table_is_read() -> None:
    names = {"event", "properties.a, id: 7, column_name: b"}
    assert columns_read(TREE) == {"events_track": [names, {"workspace_id"}]}


@pytest.mark.parametrize(
    ("reads", "bytes_"),
    [
        ([{"event", "workspace_id"}], 1700),
        ([{"event"}, {"workspace_id"}], 850),
        ([{"properties.price"}], 5000),
        ([{"context.ip"}], 1000),
        ([{"context.other", "context"}], 30_000),
        ([set()], 0),
        ([], None),
    ],
)
def test_bytes_are_those_of_the_columns_and_at_most_of_whole_rows(reads: list[set[str]], bytes_: int | None) -> None:
    assert estimate("events_track", 1, 100, reads, SIZES).bytes == bytes_


def test_where_columns_have_no_sizes_whole_rows_count() -> None:
    assert estimate("events_page", 1, 100, [{"name"}], Sizes({}, 300.0)).bytes == 30_000
    assert estimate("events_page", 1, 100, [{"name"}], None).bytes is None
    assert estimate("events_page", 0, 0, [], None).bytes == 0
    assert estimate("events_page_local", 1, 0, [], None).table == "events_page"


def test_columns_are_sampled_in_the_order_given() -> None:
    text = sampled_sql("events_track", ["event", "context.page.path"], UUID(int=1))
    assert text == (
        "SELECT avg(size_0), avg(size_1) FROM (SELECT byteSize(`event`) AS size_0, "
        "byteSize(`context.page.path`) AS size_1 "
        "FROM cdp.events_track WHERE workspace_id = toUUID('00000000-0000-0000-0000-000000000001') LIMIT 10000)"
    )
    assert "WHERE" not in sampled_sql("events_track", ["event"], None)
