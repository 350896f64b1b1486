"""NATS subjects. Identifiers are the last tokens; nothing from a client becomes a token unchecked."""

from __future__ import annotations

from typing import Final
from uuid import UUID

PREFIX: Final = "cdp"
EVENTS_STREAM: Final = "CDP_EVENTS"
"""The JetStream stream that keeps durable events."""
EVENTS: Final = "cdp.evt.v1.>"
INGESTED: Final = "cdp.evt.v1.events.ingested.*"
CANCEL: Final = "cdp.ctl.v1.cancel"
"""Core NATS, broadcast: a caller went away; the body is the reply inbox of its call."""
CACHE_DROP: Final = "cdp.ctl.v1.cache.drop"
"""Core NATS, broadcast: gateways drop what they hold; the body is `contracts.caching.CacheDrop`."""


def operation(service: str, name: str, version: int = 1) -> str:
    """Return the request-reply subject of an operation: ``cdp.<service>.v<version>.<operation>``."""
    return f"{PREFIX}.{service}.v{version}.{name}"


def ingested(workspace: UUID) -> str:
    """Return the subject that says new rows of a workspace are visible."""
    return f"cdp.evt.v1.events.ingested.{workspace}"


def profile_changed(workspace: UUID, profile: UUID) -> str:
    """Return the subject that says a profile is no longer what it was."""
    return f"cdp.evt.v1.profiles.changed.{workspace}.{profile}"


def dead_letter(stream: str, consumer: str) -> str:
    """Return the subject for messages a consumer gave up on."""
    return f"cdp.dlq.{stream}.{consumer}"


def about(workspace: UUID, profile: UUID) -> tuple[str, ...]:
    """Return patterns of the subjects of all durable events about one profile, which ends each of them."""
    return (
        profile_changed(workspace, profile),
        f"cdp.evt.v1.traits.changed.{workspace}.*.{profile}",
        f"cdp.evt.v1.segments.*.{workspace}.*.{profile}",
    )
