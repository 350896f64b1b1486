"""Custom SQL over a workspace's own events. Meanings: docs/sql.md."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import Cursor
from contracts.base import Message
from contracts.common import Facts, Moment, TimeZone
from contracts.operation import Format
from contracts.queries import PageLimit, Parameters

SqlState: TypeAlias = Literal["running", "finished", "failed", "cancelled", "refused"]
"""Of a statement. `refused`: it never ran; `cancelled`: by who asked, or because they went away."""


class SqlStatement(Message, frozen=True, kw_only=True):
    """A statement. `parameters`: values of its `{name:Type}`. `as_of`: what now() says."""

    query: Annotated[
        str,
        Meta(
            min_length=1,
            description="ClickHouse SQL over events_track, events_identify, events_page, events_group and events",
            examples=["SELECT event, count() AS n FROM events_track GROUP BY event ORDER BY n DESC"],
        ),
    ]
    parameters: Parameters = named(default_factory=dict)
    timezone: TimeZone | None = None
    as_of: Moment | None = None


class SqlRequest(SqlStatement, frozen=True, kw_only=True):
    """One SELECT, EXPLAIN of one, or DESCRIBE of one or of a table. `query_id`: chosen by the caller who may want to
    follow it or to cancel it."""

    limit: (
        Annotated[int, Meta(ge=1, le=100_000, description="Rows at most: of JSON 1,000 by default, of a stream all")]
        | None
    ) = None
    query_id: UUID | None = None


class SqlColumn(Message, frozen=True, kw_only=True):
    """A column of a result: `type` is ClickHouse's."""

    name: str
    type: str


class SqlResult(Message, frozen=True, kw_only=True):
    """Rows as arrays in the order of `columns`; integers beyond 2^53 are strings. `truncated`: there are more."""

    columns: tuple[SqlColumn, ...]
    data: tuple[tuple[Any, ...], ...]
    truncated: bool
    meta: Facts


class SqlCancel(Message, frozen=True, kw_only=True):
    """Which query: the `query_id` it was sent with."""

    query_id: UUID


class SqlCancelled(Message, frozen=True, kw_only=True):
    """The query does not run any more; whether it did is not said."""

    query_id: UUID


class SqlProgressGet(Message, frozen=True, kw_only=True):
    """Which query: the `query_id` it was sent with, or that its answer says."""

    query_id: UUID


class SqlProgress(Message, frozen=True, kw_only=True):
    """How far a query is, or how it ended. `rows_to_read`, `percent` and `memory_bytes` are of one that runs, and null
    while the engine does not say; `seconds` is null of one that was lost, counts are null where nobody counted."""

    query_id: UUID
    status: SqlState
    error: str | None
    started_at: datetime
    seconds: float | None
    rows_read: int | None
    bytes_read: int | None
    rows_to_read: int | None = None
    percent: float | None = None
    memory_bytes: int | None = None


class SqlEstimateRequest(SqlStatement, frozen=True, kw_only=True):
    """A SELECT that has not run yet."""


class SqlTableEstimate(Message, frozen=True, kw_only=True):
    """Of one table: parts it is stored in, rows in the ranges to be read, bytes of the columns to be read."""

    table: str
    parts: int
    rows: int
    bytes: int | None


class SqlEstimate(Message, frozen=True, kw_only=True):
    """What a statement would read at most, uncompressed. `bytes`: null where the sizes of columns are not known."""

    rows: int
    bytes: int | None
    parts: int
    tables: tuple[SqlTableEstimate, ...]
    meta: Facts


class SqlHistoryList(Message, frozen=True, kw_only=True):
    """Statements of the workspace, newest first."""

    search: Annotated[str, Meta(max_length=200, description="Part of the statement, in either case")] = ""
    status: SqlState | None = None
    limit: PageLimit = 50
    cursor: Cursor | None = None


class SqlHistoryEntry(Message, frozen=True, kw_only=True):
    """A statement that was sent: `seconds` is null while it runs, counts are null where nobody counted."""

    query_id: UUID
    query: str
    status: SqlState
    error: str | None
    started_at: datetime
    seconds: float | None
    rows_read: int | None
    bytes_read: int | None
    rows_returned: int | None
    format: Format
    principal: str


class SqlHistoryPage(Message, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page."""

    data: tuple[SqlHistoryEntry, ...]
    next_cursor: str | None


class SqlSchemaGet(Message, frozen=True, kw_only=True):
    """Nothing to say: the workspace is in the `Cdp-Workspace` header."""


class SqlPath(Message, frozen=True, kw_only=True):
    """A path seen in a JSON column (`product.sku`): ClickHouse's types of its values, and one of them as text."""

    path: str
    types: tuple[str, ...]
    example: str


class SqlSchemaColumn(Message, frozen=True, kw_only=True):
    """A column. `paths`: of a JSON column, the commonest first; of `events`, see the table that has them."""

    name: str
    type: str
    paths: tuple[SqlPath, ...] = ()


class SqlSchemaTable(Message, frozen=True, kw_only=True):
    """A table that statements may name."""

    name: str
    columns: tuple[SqlSchemaColumn, ...]


class SqlSchema(Message, frozen=True, kw_only=True):
    """`functions`: names by group; `combinators`: suffixes that aggregates may have, in any number. `sampled`: rows of
    each table that were looked at for paths, at most."""

    tables: tuple[SqlSchemaTable, ...]
    functions: dict[str, tuple[str, ...]]
    combinators: tuple[str, ...]
    sampled: int
    meta: Facts


EXAMPLES: dict[str, Any] = {
    "commonest events": {
        "query": "SELECT event, count() AS n, uniq(actor) AS actors FROM events_track GROUP BY event ORDER BY n DESC",
        "limit": 10,
    },
    "revenue a day": {
        "query": "SELECT toDate(timestamp) AS day, sum(toFloat64OrZero(toString(properties.revenue))) AS revenue "
        "FROM events_track WHERE event = {event:String} GROUP BY day ORDER BY day",
        "parameters": {"event": "Order Completed"},
        "timezone": "Europe/Berlin",
    },
    "columns of a table": {"query": "DESCRIBE TABLE events_track"},
}
ESTIMATE_EXAMPLES: dict[str, Any] = {
    "a month of orders": {
        "query": "SELECT uniq(actor) FROM events_track WHERE event = 'Order Completed' AND timestamp >= now() - "
        "INTERVAL 1 MONTH",
    },
}
