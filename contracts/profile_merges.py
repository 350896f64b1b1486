"""Merging profiles, taking merges back, and ids that gather too many others. Meanings: docs/profiles.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from contracts.analysis import Cursor
from contracts.base import Message
from contracts.common import Actor
from contracts.profiles import Profile, ProfileRef
from contracts.queries import PageLimit


class ProfileMerge(Message, frozen=True, kw_only=True):
    """Merge the profile of `other` into that of `id`, which stays. `dry_run`: only say what would change."""

    id: ProfileRef
    other: ProfileRef
    dry_run: bool = False


class MergedId(Message, frozen=True, kw_only=True):
    """An id that led a profile when it was merged, and the profile that leads it alone."""

    profile: UUID
    actor: Actor


class Merge(Message, frozen=True, kw_only=True):
    """`loser` belongs to `winner` while the merge is in force: `undone_at` is null."""

    id: UUID
    winner: MergedId
    loser: MergedId
    merged_at: datetime
    merged_by: str
    undone_at: datetime | None
    undone_by: str | None


class TraitChange(Message, frozen=True, kw_only=True):
    """A trait of the profile that stays: what it is and what it becomes; null for none."""

    name: str
    before: Any
    after: Any


MergeRisk: TypeAlias = Literal["already_one", "two_users", "different_trait", "many_ids"]


class MergeWarning(Message, frozen=True, kw_only=True):
    """Why these may not be one person. `trait`: the one that differs, of those that name a person."""

    kind: MergeRisk
    message: str
    trait: str | None = None


class MergeEffects(Message, frozen=True, kw_only=True):
    """What a merge changes: traits of the profile that stays, and how many ids and events it is given."""

    traits: tuple[TraitChange, ...]
    ids: int
    events: int
    warnings: tuple[MergeWarning, ...]


class ProfileMerged(Message, frozen=True, kw_only=True):
    """`profile`: the merged one, or with `dry_run` as it would be. `changed`: false when both are one profile already;
    then `merge` is the one that `other` was merged by, if any. `effects`: with `dry_run` only."""

    changed: bool
    profile: Profile
    merge: Merge | None
    effects: MergeEffects | None


class ProfileUnmerge(Message, frozen=True, kw_only=True):
    """Take a merge of the profile `id` back: the one named, or the one by which `other` (an id or a profile's id) came
    to it."""

    id: ProfileRef
    merge: UUID | None = None
    other: ProfileRef | None = None


class ProfileUnmerged(Message, frozen=True, kw_only=True):
    """Both profiles as they are without the merge; the same one twice where links or other merges hold them together.
    `loser`: null when none of its ids has events. `changed`: false when it had been taken back before."""

    changed: bool
    merge: Merge
    winner: Profile | None
    loser: Profile | None


class MergesList(Message, frozen=True, kw_only=True):
    """Merges of the ids of a profile, newest first, those taken back too."""

    id: ProfileRef
    limit: PageLimit = 50
    cursor: Cursor | None = None


class MergesPage(Message, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page."""

    data: tuple[Merge, ...]
    next_cursor: str | None


WarningKind: TypeAlias = Literal["many_ids", "many_users", "many_devices"]


class IdWarning(Message, frozen=True, kw_only=True):
    """An id that gathers suspiciously many others. `many_ids`: a profile with many, led by `actor`; `many_users`: an
    anonymous id seen with many users (a shared device); `many_devices`: a user id seen with many anonymous ids.
    `first_seen`, `last_seen`: when the first and the newest of them were first seen with it."""

    kind: WarningKind
    profile: UUID
    actor: Actor
    count: int
    first_seen: datetime
    last_seen: datetime
    advice: str


class WarningsList(Message, frozen=True, kw_only=True):
    """Ids that gather suspiciously many others, those with the most first."""

    kind: WarningKind | None = None
    limit: PageLimit = 50
    cursor: Cursor | None = None


class WarningsPage(Message, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page."""

    data: tuple[IdWarning, ...]
    next_cursor: str | None


MERGE_EXAMPLES: Final[Mapping[str, Any]] = {
    "merge": {"other": "anonymous_id:a-77"},
    "what would change": {"other": "user_id:u-2048", "dry_run": True},
}
UNMERGE_EXAMPLES: Final[Mapping[str, Any]] = {
    "by the merged id": {"other": "anonymous_id:a-77"},
    "by the merge": {"merge": "4b1c9d1e-0f7a-4a57-9d8e-0a4f6a1c2b3d"},
}
