"""Finding profiles: search, batches, and everything as a stream. Meanings: docs/profiles.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta

from contracts.base import Message
from contracts.common import Moment, TimeZone
from contracts.predicates import Predicate
from contracts.profiles import ProfileRef

ProfileColumn: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024, examples=["user_id", "traits.email"])]
ProfileColumns: TypeAlias = Annotated[tuple[ProfileColumn, ...], Meta(min_length=1, max_length=200)]
SearchText: TypeAlias = Annotated[
    str,
    Meta(
        max_length=1_024,
        description="Each word, in any case, must be part of one of the traits of ANALYTICS_PROFILES_SEARCH_TRAITS",
        examples=["ada lovel"],
    ),
]


class ProfileSort(Message, frozen=True, kw_only=True):
    """`by`: last_seen_at, first_seen_at, id or `traits.<path>`; profiles without the trait come last either way."""

    by: Annotated[str, Meta(min_length=1, max_length=1024)] = "last_seen_at"
    order: Literal["asc", "desc"] = "desc"


class ProfileSearch(Message, frozen=True, kw_only=True):
    """Profiles for which `where` holds and that have the words of `text`. `columns`: the whole profile by default.
    `total`: `bounded` counts up to 10,000 and no longer than a second, `exact` to the end, `none` not at all."""

    where: Predicate | None = None
    text: SearchText | None = None
    sort: ProfileSort = ProfileSort()
    columns: ProfileColumns | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50
    total: Literal["bounded", "exact", "none"] = "bounded"
    as_of: Moment | None = None
    timezone: TimeZone | None = None
    cursor: Annotated[str, Meta(min_length=1, max_length=8_192)] | None = None


class ProfilesPage(Message, frozen=True, kw_only=True):
    """`data`: one object a profile, keyed by the columns. `total`: how many there are in all, at least so many when
    `total_exact` is false, null when it was not asked for. `next_cursor`: null on the last page."""

    data: tuple[dict[str, Any], ...]
    total: int | None
    total_exact: bool
    next_cursor: str | None


class ProfilesBatch(Message, frozen=True, kw_only=True):
    """Several profiles at once, each by any of its ids."""

    ids: Annotated[tuple[ProfileRef, ...], Meta(min_length=1, max_length=1_000)]
    columns: ProfileColumns | None = None


class FoundProfile(Message, frozen=True, kw_only=True):
    """The profile that a reference means, with the columns asked for."""

    ref: str
    profile: dict[str, Any]


class AmbiguousReference(Message, frozen=True, kw_only=True):
    """A reference that several profiles answer to, and the first of their ids."""

    ref: str
    ids: tuple[UUID, ...]


class ProfilesFound(Message, frozen=True, kw_only=True):
    """Each reference is in one of the three, once, in the order of the request."""

    data: tuple[FoundProfile, ...]
    missing: tuple[str, ...]
    ambiguous: tuple[AmbiguousReference, ...]


class ProfilesExport(Message, frozen=True, kw_only=True):
    """All profiles that a search finds, in no particular order."""

    where: Predicate | None = None
    text: SearchText | None = None
    columns: ProfileColumns | None = None
    as_of: Moment | None = None
    timezone: TimeZone | None = None


EXAMPLES: Final[Mapping[str, Any]] = {
    "by a trait": {
        "where": {"op": "eq", "field": "traits.plan", "value": "pro"},
        "columns": ["id", "user_id", "traits.email", "last_seen_at"],
        "limit": 3,
    },
    "by words": {"text": "ada lovel", "total": "none"},
    "seen this week, by name": {
        "where": {"op": "within_last", "field": "last_seen_at", "value": "7d"},
        "sort": {"by": "traits.name", "order": "asc"},
    },
}
BATCH_EXAMPLES: Final[Mapping[str, Any]] = {
    "by several kinds of id": {"ids": ["user_id:u-1024", "email:ada@example.com"], "columns": ["id", "traits.plan"]},
}
EXPORT_EXAMPLES: Final[Mapping[str, Any]] = {
    "emails of customers": {
        "where": {"op": "exists", "field": "traits.plan"},
        "columns": ["user_id", "traits.email"],
    },
}
