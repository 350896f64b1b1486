"""Pure compiler of raw event queries: request → SQL. One SELECT per table, united in the order of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts.common import TableName
from contracts.errors import InvalidRequest
from contracts.events import EventsRequest
from services.kit import identity, sql
from services.kit.cursor import RowKey
from services.kit.event_rows import NAME_COLUMN, check_names, default_columns, json_object, maybe_wide
from services.kit.predicates import check_field, check_predicate, compile_predicate, join, render_column
from services.query.frame import Frame

Span = tuple[datetime, datetime]
"""A half-open slice of time."""
Shape = Literal["page", "ndjson", "csv", "typed"]
"""How a row leaves the engine: one JSON object with or without its key, one CSV line, or columns of their own types
(Parquet, Arrow)."""


def columns_of(request: EventsRequest, frame: Frame) -> tuple[str, ...]:
    """Return the output columns: those asked for, else every column that one of the tables has.

    Raises:
        InvalidRequest: a column is named twice, or none of the tables has it.
    """
    if request.columns is None:
        return default_columns(frame.tables)
    for index, name in enumerate(request.columns):
        if name in request.columns[:index]:
            raise InvalidRequest.at(f"/columns/{index}", f"{name!r} is named twice: name each column once")
        if name != "actor":
            check_field(name, frame.tables, f"/columns/{index}")
    return request.columns


def keys_of(names: Sequence[str], table: TableName, frame: Frame) -> list[str]:
    """Return the conditions every query of a table begins with: tenant, range, names.

    They name columns of the sorting key alone, which the rows of one event share, so they may be asked before
    duplicates are removed (PREWHERE); the engine itself moves no condition there under FINAL.
    """
    conditions = [f"workspace_id = {sql.uuid(frame.workspace)}", f"timestamp < {sql.datetime64(frame.end)}"]
    if frame.start is not None:
        conditions.append(f"timestamp >= {sql.datetime64(frame.start)}")
    if names:
        column = NAME_COLUMN.get(table)
        conditions.append(f"{column} IN ({', '.join(map(sql.string, names))})" if column else "0")
    return conditions


def check(request: EventsRequest, frame: Frame) -> None:
    """Refuse what no table of the request can answer.

    Raises:
        InvalidRequest: names the field.
    """
    if request.where is not None:
        check_predicate(request.where, frame.tables)
    check_names(request.names, frame.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A query of event rows, settled but for its place: `sql()` gives a page, a slice of a stream, or all of it."""

    request: EventsRequest
    frame: Frame
    columns: tuple[str, ...]
    shape: Shape

    def sql(
        self,
        *,
        after: RowKey | None = None,
        limit: int | None = None,
        between: Span | None = None,
    ) -> str:
        """Return the statement.

        `after`: rows behind this one in the request's order; `between`: a half-open slice of time. The result's columns
        are, for json, `ts` (milliseconds), `message_id`, `table`, `row` (JSON text), `wide` (the row may hold integers
        beyond 2^53); for csv, `row`; for typed, the columns asked for.
        """
        descending = " DESC" if self.request.order == "newest" else ""
        ordered = self.request.order != "unordered"
        order = f" ORDER BY timestamp{descending}, message_id{descending}, `table`{descending}" if ordered else ""
        cut = f" LIMIT {limit}" if limit is not None else ""
        selects = [self._select(table, after, between) for table in self.frame.tables]
        if len(selects) == 1:
            inner = selects[0] + order + cut
        else:
            inner = " UNION ALL ".join(
                f"SELECT * FROM ({one}{order if limit is not None else ''}{cut})" for one in selects
            )
            inner = f"SELECT * FROM ({inner}){order}{cut}"
        return f"SELECT {', '.join(self._outer())} FROM ({inner})"

    def _outer(self) -> list[str]:
        if self.shape == "typed":
            return [f"c{index} AS {sql.identifier(name)}" for index, name in enumerate(self.columns)]
        if self.shape == "csv":
            return ["row"]
        key = ["toUnixTimestamp64Milli(timestamp) AS ts", "message_id", "`table`"]
        return ["row", "wide", *(key if self.shape == "page" else ())]

    def _select(self, table: TableName, after: RowKey | None, between: Span | None) -> str:
        frame = self.frame
        scope = frame.scope(table)
        source = self._source(table, after, between, final=True)
        rendered = [render_column(name, scope, pointer=f"/columns/{i}") for i, name in enumerate(self.columns)]
        key = f"timestamp, message_id, {sql.string(table)} AS `table`"
        if self.shape == "typed":
            output = ", ".join(f"{column.typed} AS c{index}" for index, column in enumerate(rendered))
        elif self.shape == "csv":
            output = f"formatRowNoNewline('CSV', {', '.join(column.text for column in rendered)}) AS row"
        else:
            output = f"{json_object(self.columns, [column.json for column in rendered])} AS row, "
            output += f"{maybe_wide([column.json for column in rendered if column.wide])} AS wide"
        return f"SELECT {key}, {output} {source}"

    def _source(self, table: TableName, after: RowKey | None, between: Span | None, *, final: bool) -> str:
        """Return FROM, PREWHERE and WHERE of one table."""
        request, frame = self.request, self.frame
        keys = keys_of(request.names, table, frame)
        if between is not None:
            keys.append(f"timestamp >= {sql.datetime64(between[0])}")
            keys.append(f"timestamp < {sql.datetime64(between[1])}")
        if request.actors:
            keys.append(identity.is_any_of(frame.workspace, request.actors, frame.blocked))
        rest = []
        if after is not None:
            rest.append(_behind(after, table, newest=request.order == "newest"))
        if request.where is not None:
            rest.append(compile_predicate(request.where, frame.scope(table)))
        where = f" WHERE {' AND '.join(rest)}" if rest else ""
        joined = join(frame.scope(table))
        return f"FROM events_{table}{' FINAL' if final else ''}{joined} PREWHERE {' AND '.join(keys)}{where}"

    def reach_sql(self, *, after: RowKey | None, rows: int) -> str:
        """Return a statement that tells how far the first rows reach, from their timestamps alone: for each table that
        has some of the first `rows`, its name, how many, and the last timestamp (milliseconds). Duplicates count."""
        newest = self.request.order == "newest"
        selects = [
            f"SELECT timestamp, {sql.string(table)} AS source {self._source(table, after, None, final=False)}"
            for table in self.frame.tables
        ]
        direction, last = ("DESC", "min") if newest else ("ASC", "max")
        cut = f"ORDER BY timestamp {direction} LIMIT {rows}"
        inner = " UNION ALL ".join(f"SELECT * FROM ({select} {cut})" for select in selects)
        return (
            f"SELECT source, count() AS found, toUnixTimestamp64Milli({last}(timestamp)) AS last "
            f"FROM (SELECT * FROM ({inner}) {cut}) GROUP BY source"
        )


def _behind(last: RowKey, table: TableName, *, newest: bool) -> str:
    """Return the keyset condition: rows of `table` that come after `last` in (timestamp, message_id, table)."""
    compare = "<" if newest else ">"
    moment = f"fromUnixTimestamp64Milli({sql.integer(last.timestamp)}, 'UTC')"
    pair = f"(message_id, {sql.string(table)}) {compare} ({sql.string(last.message_id)}, {sql.string(last.table)})"
    return f"(timestamp {compare} {moment} OR (timestamp = {moment} AND {pair}))"


def slices_sql(request: EventsRequest, frame: Frame) -> str:
    """Return the months that may have rows, as year * 12 + month - 1: the partitions of the range."""
    selects = [
        "SELECT toUInt32(toYear(timestamp)) * 12 + toMonth(timestamp) - 1 AS month "
        f"FROM events_{table} PREWHERE {' AND '.join(keys_of(request.names, table, frame))} GROUP BY month"
        for table in frame.tables
    ]
    return f"SELECT DISTINCT month FROM ({' UNION ALL '.join(selects)}) ORDER BY month"
