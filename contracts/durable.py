"""Durable events (JetStream). Facts that happened, published at least once with a de-duplication id."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from msgspec import field

from contracts.base import Message
from contracts.common import TableName


class EventsIngested(Message, frozen=True, kw_only=True):
    """New rows are visible in the event tables. `user_ids` only when few; times are those of the events."""

    workspace_id: UUID
    tables: tuple[TableName, ...]
    rows: int
    from_: datetime = field(name="from")
    """The earliest timestamp among the rows."""
    to: datetime
    """The latest timestamp among the rows."""
    user_ids: tuple[str, ...] | None = None
    source: str = ""


ProfileField: TypeAlias = Literal["user_id", "anonymous_ids", "traits", "first_seen_at", "last_seen_at"]


class ProfileChanged(Message, frozen=True, kw_only=True):
    """A profile is no longer what it was. `merged`: its ids belong to the profile `into` now, and it redirects there;
    `deleted`: nothing is left of it. `fields` that differ, and the names of the `traits` that do, when it was updated.

    That only first_seen_at or last_seen_at moved is not said: `EventsIngested` told of those events."""

    workspace_id: UUID
    profile_id: UUID
    change: Literal["created", "updated", "merged", "deleted"]
    into: UUID | None = None
    fields: tuple[ProfileField, ...] = ()
    traits: tuple[str, ...] = ()
    version: int
    """Microseconds since the epoch when it was written; of two messages about a profile the higher is the newer."""
