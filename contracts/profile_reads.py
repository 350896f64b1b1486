"""What one person did: the timeline, sessions, ids, a summary. Meanings: docs/profiles.md."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import Cursor
from contracts.base import Message
from contracts.common import Actor, Facts, Moment, TableName, Tables, TimeZone
from contracts.events import Name
from contracts.profile_merges import IdWarning
from contracts.profiles import ProfileRef
from contracts.session import MaxDuration, Timeout

Order: TypeAlias = Literal["newest", "oldest"]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=1_000)]


class ProfileEvents(Message, frozen=True, kw_only=True):
    """The events of one person, over all tables and ids. `from` ≤ timestamp < `to`; without `from` all history, without
    `to` up to as_of."""

    id: ProfileRef
    table: Tables = "any"
    names: Annotated[tuple[Name, ...], Meta(max_length=1_000, description="Event or page names")] = ()
    from_: Moment | None = named(default=None, name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    as_of: Moment | None = None
    order: Order = "newest"
    limit: Limit = 50
    cursor: Cursor | None = None


class ProfileEventsPage(Message, frozen=True, kw_only=True):
    """`profile_id`: whose they are now. `data`: rows as those of POST /query/events with all columns. `next_cursor`:
    null on the last page."""

    profile_id: UUID
    data: tuple[dict[str, Any], ...]
    next_cursor: str | None
    meta: Facts


class ProfileSessions(Message, frozen=True, kw_only=True):
    """The sessions of one person, as POST /query/session means them, over all history unless `from` says otherwise."""

    id: ProfileRef
    table: Tables = ("track", "page")
    timeout: Timeout = 1_800
    max_duration: MaxDuration = 86_400
    from_: Moment | None = named(default=None, name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    as_of: Moment | None = None
    order: Order = "newest"
    limit: Limit = 50
    cursor: Cursor | None = None


class ProfileSession(Message, frozen=True, kw_only=True):
    """One visit. Pages: paths of its first and last page event, null without one."""

    start: datetime
    end: datetime
    events: int
    seconds: float
    entry_page: str | None
    exit_page: str | None


class ProfileSessionsPage(Message, frozen=True, kw_only=True):
    """`total`: all sessions selected. `next_cursor`: null on the last page."""

    profile_id: UUID
    data: tuple[ProfileSession, ...]
    total: int
    next_cursor: str | None
    meta: Facts


class ProfileIdentities(Message, frozen=True, kw_only=True):
    """Whose ids."""

    id: ProfileRef


class Identity(Message, frozen=True, kw_only=True):
    """One id of a person. `first_seen_at`, `last_seen_at`: of the events whose actor it is. `came`: it is the one that
    names the person (`own`), or belongs to `into` by its first `linked` event or by a merge: since `at`, `by` whom."""

    kind: Literal["user", "anonymous"]
    id: str
    first_seen_at: datetime
    last_seen_at: datetime
    came: Literal["own", "linked", "merged"]
    into: Actor | None
    at: datetime | None
    by: str | None


class ProfileIdentitiesResult(Message, frozen=True, kw_only=True):
    """`data`: the person's own id first, then by first seen. `warnings`: those of `GET /profiles/warnings` about these
    ids, the largest counts first, at most 50."""

    profile_id: UUID
    data: tuple[Identity, ...]
    warnings: tuple[IdWarning, ...]


class ProfileSummary(Message, frozen=True, kw_only=True):
    """Whom to sum up. Days are those of `timezone`, by default the workspace's."""

    id: ProfileRef
    timezone: TimeZone | None = None
    as_of: Moment | None = None


class NameSummary(Message, frozen=True, kw_only=True):
    """Events of one name; `name` is null for identify and group, whose events have none."""

    table: TableName
    name: str | None
    events: int
    first_seen_at: datetime
    last_seen_at: datetime


class DaySummary(Message, frozen=True, kw_only=True):
    """Events of one local day."""

    day: date
    events: int


class ProfileSummaryResult(Message, frozen=True, kw_only=True):
    """All history up to as_of. `names`: most frequent first, at most 1,000 (`truncated`: there are more). `days`: the
    last 30 local days, oldest first, as_of's own last. `days_active`: local days with an event, in all history."""

    profile_id: UUID
    events: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    days_active: int
    names: tuple[NameSummary, ...]
    truncated: bool
    days: tuple[DaySummary, ...]
    meta: Facts
