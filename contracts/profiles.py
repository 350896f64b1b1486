"""Profiles: one person, whole. Meanings: docs/profiles.md."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from msgspec import Meta

from contracts.base import Message

ProfileRef: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4_200,
        description="A profile's id, or `user_id:…`, `anonymous_id:…`, or a trait that names one person: `email:…`",
        examples=["user_id:u-1024", "email:ada@example.com"],
    ),
]


class ProfileGet(Message, frozen=True, kw_only=True):
    """Which one. An id that was merged or linked into another profile finds that profile."""

    id: ProfileRef


class TraitOrigin(Message, frozen=True, kw_only=True):
    """When a trait was set, and by which identify event."""

    at: datetime
    message_id: str


class Profile(Message, frozen=True, kw_only=True):
    """One person. `traits`: the last written of each key; `trait_origins`: since when and from what."""

    id: UUID
    user_id: str | None
    anonymous_ids: tuple[str, ...]
    traits: dict[str, Any]
    trait_origins: dict[str, TraitOrigin]
    first_seen_at: datetime
    last_seen_at: datetime
