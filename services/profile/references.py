"""Which profile a reference means: a profile's id, an id of the person, or a trait that names one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.base import encode
from contracts.errors import InvalidRequest
from services.kit.identity import actor_key_of
from services.profile.ids import Kind, profile_id, signed

_KINDS: Final[dict[str, Kind]] = {"user_id": "user", "anonymous_id": "anonymous"}


@dataclass(frozen=True, slots=True)
class ById:
    """The profile of this id, or the one that stands for it."""

    own_profile: UUID


@dataclass(frozen=True, slots=True)
class ByTrait:
    """The profile with this trait. `documents`: JSON objects one of which its traits contain."""

    name: str
    documents: tuple[str, ...]


def parse(workspace: UUID, reference: str, traits: frozenset[str], pointer: str = "/id") -> ById | ByTrait:
    """Read a reference; `traits`: those that name one person.

    Raises:
        InvalidRequest: it is none; says what is.
    """
    name, colon, value = reference.partition(":")
    if not colon:
        try:
            if len(reference) != 36:
                raise ValueError
            return ById(UUID(reference))
        except ValueError:
            raise InvalidRequest.at(pointer, _expected(traits)) from None
    if not value or "\0" in value:
        raise InvalidRequest.at(pointer, "an id is at least one character, and none of them NUL")
    if name in _KINDS:
        return ById(profile_id(workspace, _KINDS[name], value))
    if name in traits:
        return ByTrait(name, _documents(name, value))
    raise InvalidRequest.at(pointer, _expected(traits))


def key_of(workspace: UUID, kind: Kind, id: str) -> int:
    """Return the key of an id as PostgreSQL holds it."""
    return signed(actor_key_of(workspace, kind, id))


def _documents(name: str, value: str) -> tuple[str, ...]:
    documents = [encode({name: value}).decode()]
    if value.isascii() and value.isdigit() and (value == "0" or value[0] != "0"):
        documents.append(f"{encode({name: 0}).decode()[:-2]}{value}}}")  # the same id sent as a number
    return tuple(documents)


def _expected(traits: frozenset[str]) -> str:
    named = ", ".join(f"`{name}:…`" for name in ("user_id", "anonymous_id", *sorted(traits)))
    return f"name a profile by its id (a UUID) or by {named}"
