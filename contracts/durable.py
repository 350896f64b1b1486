"""Durable events (JetStream). Facts that happened, published at least once with a de-duplication id."""

from __future__ import annotations

from datetime import datetime
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
