"""What profiles are, by the definition (docs/profiles.md), over events as they were sent: slow, plain, and written
without a look at the SQL.

An event is a dict: table, message_id, user_id, anonymous_id, timestamp and received_at (milliseconds), and of an
identify event `traits`, as they were sent, nulls and dotted names included. The same message may be there several
times.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.oracle import identity
from tests.oracle.events import distinct
from tests.oracle.identity import Person

Event = dict[str, Any]


@dataclass
class Profile:
    """One person. `ids`: when each was first and last on one of the person's events; `origins`: when and by which
    message each trait was set. Times in milliseconds."""

    user_id: str | None
    ids: dict[Person, tuple[int, int]] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def anonymous_ids(self) -> list[str]:
        """Sorted by their bytes."""
        return sorted((id for kind, id in self.ids if kind == "anonymous"), key=str.encode)

    @property
    def seen(self) -> tuple[int, int]:
        """First and last."""
        return min(first for first, _ in self.ids.values()), max(last for _, last in self.ids.values())


def profile_id(workspace: UUID, person: Person) -> UUID:
    """The id of the profile that a person's id has alone."""
    return uuid.uuid5(workspace, {"user": "user:", "anonymous": "anon:"}[person[0]] + person[1])


def profiles(
    workspace: UUID,
    events: Iterable[Event],
    merges: Mapping[Person, Person],
    *,
    blocked: Collection[str] = (),
    suppressed: Collection[Person] = (),
) -> dict[Person, Profile]:
    """The profiles of a workspace, by the person each is named after."""

    def known(id: str) -> str:
        return "" if id in blocked else identity.known(id)

    told = [
        event | {"user_id": known(event["user_id"]), "anonymous_id": known(event["anonymous_id"])}
        for event in distinct(events)
    ]
    links = identity.first_links(map(_bare, told))
    counted = {loser: winner for loser, winner in merges.items() if not {loser[1], winner[1]}.intersection(blocked)}
    found: dict[Person, Profile] = {}
    for event in sorted(told, key=lambda event: (event["timestamp"], event["message_id"].encode())):
        own = identity.on_the_row(_bare(event))
        owner = identity.resolve(workspace, own, links, counted)
        if own is None or owner is None or {own, owner}.intersection(suppressed) or "\0" in own[1] + owner[1]:
            continue
        profile = found.setdefault(owner, Profile(owner[1] if owner[0] == "user" else None))
        _see(profile, own, event["timestamp"])
        device: Person = ("anonymous", event["anonymous_id"])
        beside = own[0] == "user" and device[1] and device not in suppressed and "\0" not in device[1]
        if beside and identity.resolve(workspace, device, links, counted) == owner:
            _see(profile, device, event["timestamp"])
        if event["table"] == "identify":
            _write(profile, event)
    for owner, profile in found.items():
        if owner[0] == "anonymous":
            profile.user_id = min((id for kind, id in profile.ids if kind == "user"), key=str.encode, default=None)
    return found


def _bare(event: Event) -> identity.Event:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event["timestamp"])
    return identity.Event(event["table"], event["message_id"], event["user_id"], event["anonymous_id"], moment)


def _see(profile: Profile, person: Person, at: int) -> None:
    first, last = profile.ids.get(person, (at, at))
    profile.ids[person] = (min(first, at), max(last, at))


def _write(profile: Profile, event: Event) -> None:
    """Each first segment that an event names is replaced whole, and is gone when only nulls were sent under it."""
    written: dict[str, Any] = {}
    for path, value in leaves(event["traits"]):
        first, *rest = path.split(".")
        written.setdefault(first, None)
        if value is not None:
            written[first] = _put(written[first], rest, value)
    for name, value in written.items():
        if value is None:
            profile.traits.pop(name, None)
            profile.origins.pop(name, None)
        else:
            profile.traits[name] = value
            profile.origins[name] = (event["timestamp"], event["message_id"])


def leaves(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The dotted paths of an object with their values; empty objects have none."""
    found = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            found += leaves(inner, f"{prefix}{key}.")
        else:
            found.append((prefix + key, inner))
    return found


def _put(into: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    made = into if isinstance(into, dict) else {}
    made[path[0]] = _put(made.get(path[0]), path[1:], value)
    return made
