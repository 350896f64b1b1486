"""Settings of a workspace."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from contracts.base import Message
from contracts.common import TimeZone, WeekStart


class WorkspaceGet(Message, frozen=True, kw_only=True):
    """Nothing to say: the workspace is in the `Cdp-Workspace` header."""


class WorkspaceSettings(Message, frozen=True, kw_only=True):
    """What requests of a workspace take for granted. `clock` pins as_of (demos, replays of old data); null: real
    time."""

    name: Annotated[str, Meta(max_length=200)] = ""
    timezone: TimeZone = "UTC"
    week_start: WeekStart = "monday"
    clock: Annotated[datetime, Meta(tz=True)] | None = None
