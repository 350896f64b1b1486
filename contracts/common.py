"""Types that several domains share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from contracts.base import Message

TableName: TypeAlias = Literal["track", "identify", "page", "group"]
TABLES: tuple[TableName, ...] = ("track", "identify", "page", "group")
Tables: TypeAlias = (
    Literal["track", "identify", "page", "group", "any"]
    | Annotated[tuple[TableName, ...], Meta(min_length=1, max_length=4)]
)
"""One event table, several, or all of them (`any`)."""

Moment: TypeAlias = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=40,
        description="A date (local midnight), an ISO 8601 time (local without an offset), or relative to as_of: "
        "`-7d` is local midnight seven days before today's, `-24h` is exact; units min, h, d, w, m (months).",
        examples=["2026-01-31", "2026-01-31T09:00:00Z", "-7d"],
    ),
]
TimeZone: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, examples=["UTC", "Europe/Berlin"])]
WeekStart: TypeAlias = Literal["monday", "sunday"]
Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4_096)]


class Actor(Message, frozen=True, kw_only=True):
    """One person as the events know them. A user `x` and an anonymous `x` are two actors."""

    kind: Literal["user", "anonymous"]
    id: Id


class Facts(Message, frozen=True, kw_only=True):
    """`meta` of every answer: facts of the computation. How it was delivered is in headers."""

    rows_read: int
    bytes_read: int
    as_of: datetime
    query_id: str


def expand_tables(tables: Tables) -> tuple[TableName, ...]:
    """Return the tables meant, each once, in the fixed order of `TABLES`."""
    if tables == "any":
        return TABLES
    named = (tables,) if isinstance(tables, str) else tables
    return tuple(table for table in TABLES if table in named)
