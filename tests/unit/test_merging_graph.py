"""Whom an id leads to, held against the definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.profile.merging.graph import Person, lead
from services.profile.references import key_of
from tests.oracle import identity as oracle

WORKSPACE = UUID(int=7)
USERS: list[oracle.Person] = [("user", id_) for id_ in "uvwx"]
DEVICES: list[oracle.Person] = [("anonymous", id_) for id_ in "abcx"]


@dataclass(frozen=True)
class Drawn:
    """Edges as the definition takes them."""

    merges: Mapping[oracle.Person, oracle.Person]
    links: Mapping[str, str]

    async def merge(self, person: Person) -> Person | None:
        target = self.merges.get((person.kind, person.id))
        return None if target is None else named(target)

    async def link(self, person: Person) -> Person | None:
        known = person.kind == "anonymous" and person.id in self.links
        return named(("user", self.links[person.id])) if known else None


def named(person: oracle.Person) -> Person:
    return Person(key_of(WORKSPACE, *person), *person)


@st.composite
def edges(draw: st.DrawFn) -> Drawn:
    """Any links, and merges that close no circle by themselves."""
    people = draw(st.permutations(USERS + DEVICES))
    losers = draw(st.sets(st.integers(0, len(people) - 2), max_size=5))
    merges = {people[loser]: people[draw(st.integers(loser + 1, len(people) - 1))] for loser in losers}
    links = draw(
        st.dictionaries(st.sampled_from([id_ for _, id_ in DEVICES]), st.sampled_from([id_ for _, id_ in USERS]))
    )
    return Drawn(merges, links)


@given(drawn=edges(), person=st.sampled_from(USERS + DEVICES))
async def test_every_id_leads_to_whom_the_definition_says(drawn: Drawn, person: oracle.Person) -> None:
    expected = oracle.resolve(WORKSPACE, person, drawn.links, drawn.merges)
    assert expected is not None
    assert await lead(drawn, named(person)) == named(expected)
