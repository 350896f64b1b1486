"""Custom SQL over a workspace's own events. Meanings: docs/sql.md."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta
from msgspec import field as named

from contracts.base import Message
from contracts.common import Facts, TimeZone


class SqlRequest(Message, frozen=True, kw_only=True):
    """One SELECT, or EXPLAIN of one. `parameters`: values of the statement's `{name:Type}`. `query_id`: chosen by
    the caller who may want to cancel it."""

    query: Annotated[
        str,
        Meta(
            min_length=1,
            description="ClickHouse SQL over events_track, events_identify, events_page, events_group and events",
            examples=["SELECT event, count() AS n FROM events_track GROUP BY event ORDER BY n DESC"],
        ),
    ]
    parameters: Annotated[dict[str, Any], Meta(max_length=200, examples=[{"since": "2026-01-01"}])] = named(
        default_factory=dict
    )
    timezone: TimeZone | None = None
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
}
