"""What the analyses share: series of events, who is counted, breakdowns, lists of actors. See docs/analyses.md."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from contracts.base import Message
from contracts.common import Actor, Facts, Tables
from contracts.events import Name
from contracts.predicates import FieldName, Predicate

AnalyseBy: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1024,
        description="Who is counted: `actor` (resolved identity), `user_id`, `anonymous_id`, `group_id`, `session`, or "
        "any field. Events without that key belong to nobody and are left out.",
        examples=["actor", "user_id", "properties.order_id"],
    ),
]
Interval: TypeAlias = Literal["minute", "hour", "day", "week", "month"]
Period: TypeAlias = Literal["hour", "day", "week", "month"]
Occurrence: TypeAlias = Literal["any", "first", "last"]
Letter: TypeAlias = Literal["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"]
LETTERS: Final[tuple[Letter, ...]] = ("A", "B", "C", "D", "E", "F", "G", "H", "I", "J")
"""What the series of a request with several are called."""
Label: TypeAlias = Annotated[str, Meta(max_length=200)]


class Series(Message, frozen=True, kw_only=True):
    """A set of events. `where` is asked of every event. With `occurrence` first or last only that one event of an actor
    in all history is meant, and `having` is asked of it: the first ever purchase that was on mobile is first + having,
    the first purchase on mobile is first + where."""

    table: Tables = "track"
    names: Annotated[tuple[Name, ...], Meta(max_length=1_000, description="Event or page names; empty: all")] = ()
    where: Predicate | None = None
    occurrence: Occurrence = "any"
    having: Predicate | None = None
    label: Label = ""


class Buckets(Message, frozen=True, kw_only=True, tag_field="kind", tag="buckets"):
    """A numeric field cut at `bounds` (ascending): values `<10`, `10..20` (10 included, 20 not), `>=20`; what is no
    number is null."""

    field: FieldName
    bounds: Annotated[tuple[float, ...], Meta(min_length=1, max_length=100)]


class Membership(Message, frozen=True, kw_only=True, tag_field="kind", tag="segment"):
    """Whether the actor is in a segment: `true` or `false`."""

    segment: Annotated[str, Meta(min_length=1, max_length=200)]


BreakdownPart: TypeAlias = FieldName | Buckets | Membership


class Breakdown(Message, frozen=True, kw_only=True):
    """Split an answer by the values of up to three parts. The `limit` greatest groups stay, the rest is `other`."""

    by: Annotated[tuple[BreakdownPart, ...], Meta(min_length=1, max_length=3)]
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 25


class Group(Message, frozen=True, kw_only=True):
    """A group of a breakdown: a text or null (absent) for each part; `other` (then no values) is all groups beyond the
    limit as one."""

    values: tuple[str | None, ...] = ()
    other: bool = False


class ListedActor(Message, frozen=True, kw_only=True, omit_defaults=True):
    """One of those counted: `actor` when resolved actors or users were, else the text of the field in `key`."""

    actor: Actor | None = None
    key: str | None = None


class ActorsPage(Message, frozen=True, kw_only=True):
    """Those behind a count: `total` is that count. `next_cursor`: null on the last page."""

    data: tuple[ListedActor, ...]
    total: int
    next_cursor: str | None
    meta: Facts


ActorsLimit: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
Cursor: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4_096)]
