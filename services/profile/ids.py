"""How a person is named: the id of a profile, and the key of an id as PostgreSQL holds it."""

from __future__ import annotations

import uuid
from typing import Final, Literal, TypeAlias
from uuid import UUID

Kind: TypeAlias = Literal["user", "anonymous"]

_PREFIXES: Final = {"user": "user:", "anonymous": "anon:"}
_HALF, _WHOLE = 1 << 63, 1 << 64


def profile_id(workspace: UUID, kind: Kind, id: str) -> UUID:
    """Return the id of the profile that an id has alone: UUIDv5 (RFC 9562, 5.5) with the workspace as namespace.

    Rebuilding all profiles gives each the same id again; merging and linking only say which of them stands for all.
    """
    return uuid.uuid5(workspace, _PREFIXES[kind] + id)


def signed(key: int) -> int:
    """Return an actor's key (0 … 2^64 - 1) as PostgreSQL's bigint of the same bits."""
    return key - _WHOLE if key >= _HALF else key


def unsigned(key: int) -> int:
    """Return the actor's key that a bigint stands for."""
    return key + _WHOLE if key < 0 else key
