"""Raw events and the catalogue of what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec import field as named

from contracts.base import Message
from contracts.common import Actor, Facts, Moment, TableName, Tables, TimeZone
from contracts.predicates import FieldName, Predicate

Column: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024, examples=["timestamp", "properties.price"])]
Name: TypeAlias = Annotated[str, Meta(max_length=1024)]


class EventsRequest(Message, frozen=True, kw_only=True):
    """Rows of one or several event tables. `from` ≤ timestamp < `to`; without `from` all history, without `to` up to
    as_of. `columns` may be `actor`, `table`, a column, or a path (`properties.price`); by default all columns."""

    table: Tables = "any"
    from_: Moment | None = named(default=None, name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    as_of: Moment | None = None
    names: Annotated[tuple[Name, ...], Meta(max_length=1_000, description="Event or page names")] = ()
    actors: Annotated[tuple[Actor, ...], Meta(max_length=1_000, description="Events of these, resolved")] = ()
    where: Predicate | None = None
    columns: Annotated[tuple[Column, ...], Meta(min_length=1, max_length=200)] | None = None
    order: Annotated[
        Literal["newest", "oldest", "unordered"], Meta(description="`unordered` is the fastest export; not for pages")
    ] = "newest"
    limit: (
        Annotated[int, Meta(ge=1, le=10_000, description="Rows of a page, 100 by default; a stream has no limit")]
        | None
    ) = None
    cursor: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None


class EventsPage(Message, frozen=True, kw_only=True):
    """`data`: one object a row, keyed by the columns asked for. `next_cursor`: null on the last page."""

    data: tuple[dict[str, Any], ...]
    next_cursor: str | None
    meta: Facts


class CatalogNames(Message, frozen=True, kw_only=True, tag_field="kind", tag="names"):
    """Event and page names (and which tables have rows) with counts and the time last seen, most frequent first."""

    table: Tables = "any"
    from_: Moment | None = named(default=None, name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    as_of: Moment | None = None
    prefix: Annotated[str, Meta(max_length=1024)] = ""
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000


class CatalogFields(Message, frozen=True, kw_only=True, tag_field="kind", tag="fields"):
    """Fields that predicates and columns may name, with the types seen and the share of events that carry each."""

    table: Tables = "any"
    names: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    from_: Moment | None = named(default=None, name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    as_of: Moment | None = None
    prefix: Annotated[str, Meta(max_length=1024)] = ""
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000


class CatalogValues(Message, frozen=True, kw_only=True, tag_field="kind", tag="values"):
    """The commonest values of one field that begin with `prefix`, as texts."""

    field: FieldName
    table: Tables = "any"
    names: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    from_: Moment | None = named(default=None, name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    as_of: Moment | None = None
    prefix: Annotated[str, Meta(max_length=1024)] = ""
    ignore_case: bool = True
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 20


CatalogRequest: TypeAlias = CatalogNames | CatalogFields | CatalogValues


class NameEntry(Message, frozen=True, kw_only=True):
    """One event or page name. `name` is null for identify and group, whose events have none."""

    table: TableName
    name: str | None
    count: int
    last_seen: datetime


class FieldEntry(Message, frozen=True, kw_only=True):
    """One field. `types` as seen: string, number, boolean, array, object, time. `coverage`: share of events, 0…1."""

    field: str
    tables: tuple[TableName, ...]
    types: tuple[str, ...]
    coverage: float


class ValueEntry(Message, frozen=True, kw_only=True):
    """One value, as text, and how many events carry it."""

    value: str
    count: int


class CatalogNamesResult(Message, frozen=True, kw_only=True, tag_field="kind", tag="names"):
    """Answer to `names`."""

    data: tuple[NameEntry, ...]
    truncated: bool
    meta: Facts


class CatalogFieldsResult(Message, frozen=True, kw_only=True, tag_field="kind", tag="fields"):
    """Answer to `fields`. `sampled`: the events looked at, the newest of the range; coverage is their share."""

    data: tuple[FieldEntry, ...]
    truncated: bool
    sampled: int
    meta: Facts


class CatalogValuesResult(Message, frozen=True, kw_only=True, tag_field="kind", tag="values"):
    """Answer to `values`."""

    data: tuple[ValueEntry, ...]
    truncated: bool
    meta: Facts


CatalogResult: TypeAlias = CatalogNamesResult | CatalogFieldsResult | CatalogValuesResult

EXAMPLES: Final[Mapping[str, Any]] = {
    "newest purchases": {
        "table": "track",
        "names": ["Order Completed"],
        "columns": ["timestamp", "actor", "properties.revenue"],
        "limit": 3,
    },
    "one field, one week": {
        "table": "page",
        "from": "-7d",
        "where": {"op": "starts_with", "field": "context.page.path", "value": "/products"},
        "order": "oldest",
        "limit": 2,
    },
}
CATALOG_EXAMPLES: Final[Mapping[str, Any]] = {
    "names": {"kind": "names"},
    "fields": {"kind": "fields", "table": "track", "names": ["Order Completed"]},
    "values": {"kind": "values", "field": "context.locale", "prefix": "d"},
}
