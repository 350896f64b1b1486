"""From what ClickHouse says of ids and identify events to people. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from services.profile.ids import Kind, profile_id

_KINDS: Final[dict[int, Kind]] = {1: "user", 2: "anonymous"}
_NUL: Final = b"\\u0000"
MOST_LEVELS: Final = 256
"""Traits nested deeper are left out, a whole event's: readers of JSON give up at some hundred levels."""
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[^][{}"]+', re.DOTALL)
"""All that is not a bracket of the structure."""
_INSTEAD: Final = "\ufffd"
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Seen(NamedTuple):
    """An id on some rows, perhaps with an anonymous id beside it. Kinds: 1 user, 2 anonymous; times: milliseconds."""

    own: int
    kind: int
    id: bytes
    beside: int
    device: bytes
    first: int
    last: int
    root: int
    root_kind: int
    root_id: bytes
    beside_root: int


class Identify(NamedTuple):
    """What an identify event wrote. `traits`: a JSON object; `nulls`: paths."""

    own: int
    root: int
    at: int
    message_id: bytes
    traits: bytes
    nulls: Collection[bytes]


@dataclass(slots=True)
class Id:
    """One of a person's ids, and when events of theirs carried it (milliseconds)."""

    kind: Kind
    id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Trait:
    """`value`: JSON; `at`: milliseconds."""

    value: bytes
    at: int
    message_id: str


@dataclass(slots=True)
class Person:
    """Everything a profile holds. `key`, `kind` and `id`: those of the id that names it; `profile`: its own id."""

    workspace: UUID
    key: int
    kind: Kind
    id: str
    ids: dict[int, Id] = field(default_factory=dict)
    traits: dict[str, Trait] = field(default_factory=dict)
    profile: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.profile = profile_id(self.workspace, self.kind, self.id)

    @property
    def user_id(self) -> str | None:
        """The user id that names the profile; of a profile that an anonymous id names, the smallest one it has."""
        if self.kind == "user":
            return self.id
        return min((each.id for each in self.ids.values() if each.kind == "user"), default=None)

    @property
    def anonymous_ids(self) -> list[str]:
        """Sorted."""
        return sorted(each.id for each in self.ids.values() if each.kind == "anonymous")

    @property
    def first(self) -> int:
        """When first seen."""
        return min(each.first for each in self.ids.values())

    @property
    def last(self) -> int:
        """When last seen."""
        return max(each.last for each in self.ids.values())

    def saw(self, key: int, kind: Kind, id: str, first: int, last: int) -> None:
        """Note an id and when it was seen."""
        known = self.ids.get(key)
        if known is None:
            self.ids[key] = Id(kind, id, first, last)
        else:
            known.first, known.last = min(known.first, first), max(known.last, last)


def people(
    workspace: UUID, seen: Iterable[Seen], identifies: Iterable[Identify], suppressed: Collection[int]
) -> list[Person]:
    """Return the people that rows tell of. `identifies` in the order in which they were written.

    Rows whose id, or the id they lead to, is suppressed, or is no text that PostgreSQL holds (NUL, not UTF-8), are
    nobody's.
    """
    found: dict[int, Person] = {}
    for row in seen:
        if row.own in suppressed or row.root in suppressed:
            continue
        own, root = _text(row.id), _text(row.root_id)
        if own is None or root is None:
            continue
        person = found.get(row.root)
        if person is None:
            person = found[row.root] = Person(workspace, row.root, _KINDS[row.root_kind], root)
        person.saw(row.own, _KINDS[row.kind], own, row.first, row.last)
        if row.beside and row.beside_root == row.root and row.beside not in suppressed:
            device = _text(row.device)
            if device is not None:
                person.saw(row.beside, "anonymous", device, row.first, row.last)
    for event in identifies:
        person = found.get(event.root)
        if person is not None and event.own in person.ids:
            _write(person.traits, event)
    return list(found.values())


def _write(traits: dict[str, Trait], event: Identify) -> None:
    """Replace the traits that an event names, whole: by first path segment."""
    for path in event.nulls:
        traits.pop(clean(path).partition(".")[0], None)
    if event.traits == b"{}":
        return
    message_id = clean(event.message_id)
    members = _members(event.traits) if _depth(event.traits) <= MOST_LEVELS else {}
    for key, value in members.items():
        traits[key] = Trait(bytes(value), event.at, message_id)


def _members(text: bytes) -> dict[str, msgspec.Raw]:
    if not text.isascii():
        text = text.decode(errors="replace").encode()
    if _NUL in text:
        text = msgspec.json.encode(_without_nul(msgspec.json.decode(text)))
    return _object.decode(text)


def _depth(text: bytes) -> int:
    """Return how many levels of arrays and objects a JSON text has, no more than it has brackets."""
    brackets = text.count(b"[") + text.count(b"{")
    if brackets <= MOST_LEVELS:
        return brackets
    level = deepest = 0
    for bracket in _BRACKETS.sub(b"", text):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def clean(text: bytes) -> str:
    """Return a text as PostgreSQL can hold it."""
    return text.decode(errors="replace").replace("\0", _INSTEAD)


def _text(id: bytes) -> str | None:
    try:
        text = id.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", _INSTEAD)
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(each) for key, each in value.items()}
    return value
