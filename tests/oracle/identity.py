"""Whose an event is, by the definition: slow, plain, and written without a look at the SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.kit.identity import actor_key_of

BLOCKED = {
    *("null", "NULL", "Null", "nil", "none", "None", "undefined", "anonymous", "nan", "NaN", "[object Object]"),
    "00000000-0000-0000-0000-000000000000",
}
Person = tuple[Literal["user", "anonymous"], str]


@dataclass(frozen=True)
class Event:
    """One event of one workspace, in one of the four tables."""

    table: str
    message_id: str
    user_id: str
    anonymous_id: str
    timestamp: datetime


def known(id: str) -> str:
    """A blocked id counts as ''."""
    return "" if id in BLOCKED else id


def first_links(events: Iterable[Event]) -> dict[str, str]:
    """The user each anonymous id was first linked to: earliest timestamp, on a tie the bytewise smallest user id."""
    found: dict[str, tuple[datetime, bytes, str]] = {}
    for event in events:
        user, anonymous = known(event.user_id), known(event.anonymous_id)
        if user and anonymous:
            link = (event.timestamp, user.encode(), user)
            found[anonymous] = min(found.get(anonymous, link), link)
    return {anonymous: link[2] for anonymous, link in found.items()}


def on_the_row(event: Event) -> Person | None:
    """The actor a row itself names."""
    if known(event.user_id):
        return ("user", event.user_id)
    if known(event.anonymous_id):
        return ("anonymous", event.anonymous_id)
    return None


def resolve(
    workspace: UUID, person: Person | None, links: Mapping[str, str], merges: Mapping[Person, Person]
) -> Person | None:
    """Follow merges, and links where there is no merge, to the end. Of a circle, which only links can close, the
    member with the smallest key among those left by a link stands for all."""
    path: list[Person] = []
    while person is not None and person not in path:
        path.append(person)
        if person in merges:
            person = merges[person]
        elif person[0] == "anonymous" and person[1] in links:
            person = ("user", links[person[1]])
        else:
            return person
    if person is None:
        return None
    circle = path[path.index(person) :]
    return min((each for each in circle if each not in merges), key=lambda each: actor_key_of(workspace, *each))


def actors(
    workspace: UUID, events: Iterable[Event], merges: Mapping[Person, Person]
) -> dict[tuple[str, str], Person | None]:
    """The actor of every event, by (table, message_id)."""
    events = list(events)
    links = first_links(events)
    return {(event.table, event.message_id): resolve(workspace, on_the_row(event), links, merges) for event in events}
