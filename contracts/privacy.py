"""Forgetting people: deletions, suppression, and what is known of one person. Meanings: docs/privacy.md."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta

from contracts.analysis import Cursor
from contracts.base import Message
from contracts.common import Actor
from contracts.profiles import ProfileGet
from contracts.queries import PageLimit

Store: TypeAlias = Literal["postgres", "clickhouse", "query", "jetstream", "cache"]
StoreState: TypeAlias = Literal["pending", "done"]


class ProfileDelete(ProfileGet, frozen=True, kw_only=True):
    """Whom to forget: everything of all ids of that profile, now and when it comes again."""


class ProfileAccess(ProfileGet, frozen=True, kw_only=True):
    """Of whom everything that is kept is wanted."""


class Suppress(Message, frozen=True, kw_only=True):
    """Ids to forget, whether a profile has them or not: each with the whole profile it is part of."""

    actors: Annotated[tuple[Actor, ...], Meta(min_length=1, max_length=1_000)]


class DeletionGet(Message, frozen=True, kw_only=True):
    """Which deletion."""

    id: UUID


class DeletionsList(Message, frozen=True, kw_only=True):
    """Deletions, newest first."""

    limit: PageLimit = 50
    cursor: Cursor | None = None


class Deletion(Message, frozen=True, kw_only=True):
    """The record of a deletion: when, by whom, how many ids, and what each store has done. It names nobody."""

    id: UUID
    state: Literal["running", "done"]
    ids: int
    stores: dict[Store, StoreState]
    requested_at: datetime
    requested_by: str
    completed_at: datetime | None


class DeletionsPage(Message, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page."""

    data: tuple[Deletion, ...]
    next_cursor: str | None


class Forget(Message, frozen=True, kw_only=True):
    """Actors that saved lists and the history of statements must no longer hold."""

    actors: Annotated[tuple[Actor, ...], Meta(min_length=1, max_length=1_000)]


class Forgotten(Message, frozen=True, kw_only=True):
    """How much held them: entries of lists, and statements of the history."""

    list_entries: int
    statements: int


EXAMPLES = {
    "a user and a device": {
        "actors": [{"kind": "user", "id": "u-1024"}, {"kind": "anonymous", "id": "6f1c9d2e-device"}],
    },
}
FORGET_EXAMPLES = {"one user": {"actors": [{"kind": "user", "id": "u-1024"}]}}
