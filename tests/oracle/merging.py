"""Merges of a workspace by the definition: each is decided on whom both ids lead to then, and can be taken back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from tests.oracle import identity
from tests.oracle.identity import Event, Person


@dataclass
class Merges:
    """What has happened so far."""

    workspace: UUID
    events: list[Event] = field(default_factory=list)
    blocked: Collection[str] = ()
    in_force: dict[Person, Person] = field(default_factory=dict)

    @property
    def counting(self) -> dict[Person, Person]:
        """Those in force, but for those with an id that is blocked."""
        return {
            loser: winner
            for loser, winner in self.in_force.items()
            if loser[1] not in self.blocked and winner[1] not in self.blocked
        }

    @property
    def links(self) -> dict[str, str]:
        """The user each anonymous id belongs to without merges."""
        return identity.first_links(
            Event(
                event.table,
                event.message_id,
                "" if event.user_id in self.blocked else event.user_id,
                "" if event.anonymous_id in self.blocked else event.anonymous_id,
                event.timestamp,
            )
            for event in self.events
        )

    def lead(self, person: Person) -> Person:
        """The id that leads the profile an id is in."""
        found = identity.resolve(self.workspace, person, self.links, self.counting)
        assert found is not None
        return found

    def merge(self, winner: Person, loser: Person) -> bool:
        """Merge one profile into another; tells whether that changes anything."""
        into, merged = self.lead(winner), self.lead(loser)
        if into != merged:
            self.in_force[merged] = into
        return into != merged

    def brought(self, person: Person) -> Person | None:
        """The loser of the first merge on the way from an id to its profile."""
        path: list[Person] = []
        links = self.links
        while person not in path:
            path.append(person)
            if person in self.counting:
                return person
            if person[0] == "user" or person[1] not in links:
                return None
            person = ("user", links[person[1]])
        return None

    def unmerge(self, person: Person) -> bool:
        """Take back the merge that brought an id to its profile; tells whether there is one."""
        loser = self.brought(person)
        if loser is not None:
            del self.in_force[loser]
        return loser is not None
