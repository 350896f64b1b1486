"""Settings of a workspace."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from contracts.base import Message
from contracts.common import Id, TimeZone, WeekStart
from contracts.predicates import Predicate


class WorkspaceGet(Message, frozen=True, kw_only=True):
    """Nothing to say: the workspace is in the `Cdp-Workspace` header."""


class Limits(Message, frozen=True, kw_only=True):
    """What one query of the workspace may use; null: as much as the server's own settings allow, which it can only
    narrow."""

    max_seconds: Annotated[float, Meta(gt=0, le=3_600)] | None = None
    max_rows_to_read: Annotated[int, Meta(ge=1)] | None = None
    max_bytes_to_read: Annotated[int, Meta(ge=1)] | None = None
    max_memory_bytes: Annotated[int, Meta(ge=16_777_216)] | None = None


class WorkspaceSettings(Message, frozen=True, kw_only=True):
    """What requests of a workspace take for granted. `clock` pins as_of (demos, replays of old data); null: real
    time. `blocked_ids` count as no id, beside the fixed list (docs/analyses.md). `internal_users`: a predicate on
    events that analyses leave out unless asked for."""

    name: Annotated[str, Meta(max_length=200)] = ""
    timezone: TimeZone = "UTC"
    week_start: WeekStart = "monday"
    clock: Annotated[datetime, Meta(tz=True)] | None = None
    blocked_ids: Annotated[tuple[Id, ...], Meta(max_length=1_000)] = ()
    internal_users: Predicate | None = None
    limits: Limits = Limits()
