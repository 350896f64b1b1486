"""Saved queries: named definitions of analyses, with versions. Meanings: docs/queries.md."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from msgspec import field as named

from contracts.analysis import Cursor
from contracts.base import Message
from contracts.common import Moment, TimeZone
from contracts.versioned import IfMatch, Version

SavedName: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=200, description="Need not be unique", examples=["Checkout, weekly"])
]
Description: TypeAlias = Annotated[str, Meta(max_length=10_000)]
Tag: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, examples=["growth"])]
Kind: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, description="The analysis: `POST /query/<kind>`", examples=["events"])
]
Definition: TypeAlias = Annotated[
    dict[str, Any], Meta(description="A request of that analysis", examples=[{"table": "track", "limit": 10}])
]
SearchText: TypeAlias = Annotated[
    str, Meta(max_length=200, description="Part of the name, the description or a tag, in either case")
]
PageLimit: TypeAlias = Annotated[int, Meta(ge=1, le=500)]
Parameters: TypeAlias = Annotated[dict[str, Any], Meta(max_length=200, examples=[{"since": "2026-01-01"}])]
"""Values of a statement's `{name:Type}`."""


class QueryLabel(Message, frozen=True, kw_only=True):
    """What a saved query is called and which analysis it is."""

    name: SavedName
    description: Description = ""
    tags: Annotated[tuple[Tag, ...], Meta(max_length=50, extra_json_schema={"uniqueItems": True})] = ()
    kind: Kind


class QueryCreate(QueryLabel, frozen=True, kw_only=True):
    """A query to save."""

    definition: Definition


class QueryReplace(QueryCreate, frozen=True, kw_only=True):
    """All of a saved query anew: what is left out has its default."""

    id: UUID
    if_match: IfMatch | None = None


class QueryGet(Message, frozen=True, kw_only=True):
    """Which one."""

    id: UUID


class QueryDelete(QueryGet, frozen=True, kw_only=True):
    """Which one, and the version it is thought to have."""

    if_match: IfMatch | None = None


class QueryRestore(QueryGet, frozen=True, kw_only=True):
    """A deleted one, to have it back."""


class QueriesList(Message, frozen=True, kw_only=True):
    """Saved queries, those changed last first or by name. `deleted`: the deleted ones instead."""

    search: SearchText = ""
    kind: Kind | None = None
    tag: Tag | None = None
    deleted: bool = False
    sort: Literal["updated", "name"] = "updated"
    limit: PageLimit = 50
    cursor: Cursor | None = None


class QueryVersions(QueryGet, frozen=True, kw_only=True):
    """The versions of one saved query, newest first."""

    limit: PageLimit = 50
    cursor: Cursor | None = None


class QueryVersionGet(QueryGet, frozen=True, kw_only=True):
    """One version of one saved query."""

    version: Version


class QueryVersionRestore(QueryVersionGet, frozen=True, kw_only=True):
    """A version whose content becomes that of a new, newest one."""

    if_match: IfMatch | None = None


class QueryRun(QueryGet, frozen=True, kw_only=True):
    """Run a saved query. What is given here holds instead of what its definition says; null: nothing in its place
    (`"to": null` is up to as_of). `cursor`: the next page, for kinds that have pages. `parameters`: of the kind `sql`,
    each in place of the definition's; `query_id`: to follow or cancel it."""

    from_: Moment | UnsetType | None = named(default=UNSET, name="from")
    to: Moment | UnsetType | None = UNSET
    timezone: TimeZone | UnsetType | None = UNSET
    as_of: Moment | UnsetType | None = UNSET
    cursor: Cursor | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET
    query_id: UUID | UnsetType = UNSET


class QuerySummary(QueryLabel, frozen=True, kw_only=True):
    """A saved query without its definition. `deleted_at`: null unless it was deleted."""

    id: UUID
    version: Version
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    deleted_at: datetime | None = None


class SavedQuery(QuerySummary, frozen=True, kw_only=True):
    """A saved query."""

    definition: Definition


class QueriesPage(Message, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page."""

    data: tuple[QuerySummary, ...]
    next_cursor: str | None


class QueryVersionSummary(QueryLabel, frozen=True, kw_only=True):
    """A version without its definition: what was saved, when and by whom."""

    version: Version
    created_at: datetime
    created_by: str


class QueryVersion(QueryVersionSummary, frozen=True, kw_only=True):
    """A version of a saved query."""

    definition: Definition


class QueryVersionsPage(Message, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page."""

    data: tuple[QueryVersionSummary, ...]
    next_cursor: str | None


EXAMPLES = {
    "newest orders": {
        "name": "Newest orders",
        "tags": ["sales"],
        "kind": "events",
        "definition": {"table": "track", "names": ["Order Completed"], "from": "-7d", "limit": 20},
    },
    "checkout funnel": {
        "name": "Checkout",
        "description": "From a product to an order, within a week",
        "tags": ["sales", "weekly"],
        "kind": "funnel",
        "definition": {
            "steps": [
                {"names": ["Product Viewed"]},
                {"names": ["Product Added"]},
                {"names": ["Order Completed"]},
            ],
            "window": 604800,
        },
    },
}
