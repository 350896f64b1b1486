"""Saved lists of actors: the actors behind a number, kept as they were. Meanings: docs/queries.md."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from contracts.analysis import ActorsLimit, Cursor
from contracts.base import Message
from contracts.common import Facts
from contracts.queries import Description, PageLimit, SavedName, SearchText


class ListSource(Message, frozen=True, kw_only=True):
    """A request that lists actors: the operation (`query.<kind>_actors`) and its request, without limit and cursor."""

    operation: Annotated[str, Meta(min_length=1, max_length=64, examples=["query.funnel_actors"])]
    request: Annotated[
        dict[str, Any],
        Meta(examples=[{"query": {"steps": [{"names": ["Signed Up"]}, {"names": ["Order Completed"]}]}, "step": 2}]),
    ]


class ListCreate(Message, frozen=True, kw_only=True):
    """A list to compute and keep."""

    name: SavedName
    description: Description = ""
    source: ListSource


class ListGet(Message, frozen=True, kw_only=True):
    """Which one."""

    id: UUID


class ListDelete(ListGet, frozen=True, kw_only=True):
    """One to forget."""


class ListActors(ListGet, frozen=True, kw_only=True):
    """The actors of one list."""

    limit: ActorsLimit = 100
    cursor: Cursor | None = None


class ListsList(Message, frozen=True, kw_only=True):
    """Saved lists, newest first or by name."""

    search: SearchText = ""
    sort: Literal["created", "name"] = "created"
    limit: PageLimit = 50
    cursor: Cursor | None = None


class ActorList(Message, frozen=True, kw_only=True):
    """A saved list: `size` actors, fixed. `meta`: facts of its computation; its `as_of` is when the list was true."""

    id: UUID
    name: SavedName
    description: Description = ""
    source: ListSource
    size: int
    created_at: datetime
    created_by: str
    meta: Facts


class ListsPage(Message, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page."""

    data: tuple[ActorList, ...]
    next_cursor: str | None


EXAMPLES = {
    "reached the last step": {
        "name": "Bought within a week",
        "source": {
            "operation": "query.funnel_actors",
            "request": {
                "query": {
                    "steps": [{"names": ["Product Viewed"]}, {"names": ["Order Completed"]}],
                    "window": 604800,
                },
                "step": 2,
            },
        },
    },
}
