"""Random lives of workspaces over HTTP: events, merges, merges at once and undone, processes that die in between. Every
id finds what the definition says all along, and once all merges are undone nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from copy import copy
from datetime import UTC, datetime
from itertools import permutations
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.kit import identity
from services.kit.settings import Settings
from services.profile.merging import store
from services.profile.merging.applying import Applier
from services.profile.merging.deciding import decide
from services.profile.merging.graph import Person as Named
from services.profile.references import key_of
from services.profile.resources import Resources
from tests.api import Api
from tests.oracle import identity as identity_oracle
from tests.oracle import profiles as oracle
from tests.oracle.events import distinct
from tests.oracle.identity import Person
from tests.oracle.merging import Merges
from tests.people import T0, People, connected
from tests.platform import Platform

LIVES = 4
"""Workspaces that live at once."""
VALUES = (None, None, 1, 2.5, "é", "n\0l", {"r": 1}, {"r": None, "s": [True]})
_PREFIXES = {"user": "user_id", "anonymous": "anonymous_id"}
_IN_FORCE = "SELECT * FROM profile.merges WHERE workspace_id = $1 AND undone_at IS NULL"


@pytest.fixture(scope="module")
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with connected(infra) as found:
        yield found


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Life:
    """One workspace, lived, and held against the definition."""

    def __init__(self, people: People, rng: Random) -> None:
        self.people, self.rng, self.workspace = people, rng, people.api.workspace
        self.events: list[oracle.Event] = []
        self.model = Merges(self.workspace)
        self.told: list[str] = []
        """What happened, for whoever looks at a failure."""

    async def live(self) -> None:
        """Let things happen in a random order, then take all merges back."""
        for _ in range(3):
            await self.write([self.event() for _ in range(self.rng.randrange(5))])
            for _ in range(self.rng.randrange(4) if self.seen else 0):
                await self.rng.choice((self.merge, self.merge, self.unmerge, self.die, self.at_once))()
        if not self.seen:
            return
        lead = self.reference(self.rng.choice(self.seen))
        await self.people.post(lead, "merge", other=lead)  # whoever comes next applies what is left
        await self.compare()
        while self.model.in_force:
            await self.unmerge(self.rng.choice(sorted(self.model.in_force)))
        await self.compare()

    @property
    def profiles(self) -> dict[Person, oracle.Profile]:
        """What there is, by the definition."""
        return oracle.profiles(self.workspace, self.events, self.model.in_force)

    @property
    def seen(self) -> list[Person]:
        """The ids that are in a profile."""
        return sorted(id for profile in self.profiles.values() for id in profile.ids)

    def reference(self, person: Person) -> str:
        """Return one of the names of an id."""
        named = f"{_PREFIXES[person[0]]}:{person[1]}", str(oracle.profile_id(self.workspace, person))
        return self.rng.choice(named)

    def event(self) -> oracle.Event:
        """Return an event, late or not, or one there has been already, with other traits."""
        rng = self.rng
        again = {"received_at": T0 + rng.randrange(10**9), "traits": {name: rng.choice(VALUES) for name in "pq"}}
        if self.events and rng.random() < 0.1:
            return rng.choice(self.events) | again
        table = rng.choice(("identify", "identify", "track"))
        return again | {
            "table": table,
            "message_id": f"{rng.choice('mM')}{len(self.told)}-{rng.randrange(10**6)}",
            "user_id": rng.choice(("u", "v", "w", "x", "", "", "null")),
            "anonymous_id": rng.choice(("a", "b", "c", "x", "", "undefined")),
            "timestamp": T0 + rng.choice((0, 0, 1, 5_000, 3 * 86_400_000)),
            "event": "e",
        }

    async def write(self, events: list[oracle.Event]) -> None:
        self.told.append(f"write {events}")
        self.events += events
        self.model.events += [
            identity_oracle.Event(
                event["table"],
                event["message_id"],
                event["user_id"],
                event["anonymous_id"],
                datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
            )
            for event in distinct(events)
        ]
        await self.people.write(
            *(
                event | {"traits_null": [path for path, value in oracle.leaves(event["traits"]) if value is None]}
                for event in events
            )
        )

    async def merge(self) -> None:
        winner, loser = self.rng.choice(self.seen), self.rng.choice(self.seen)
        self.told.append(f"merge {loser} into {winner}")
        given = {"other": self.reference(loser)}
        would = await self.people.post(self.reference(winner), "merge", **given, dry_run=True)
        answer = await self.people.post(self.reference(winner), "merge", **given)
        assert answer["changed"] == would["changed"] == self.model.merge(winner, loser)
        assert shown(answer["profile"]) == shown(would["profile"])

    async def unmerge(self, person: Person | None = None) -> None:
        other = person or self.rng.choice(self.seen)
        self.told.append(f"unmerge {other}")
        of = self.reference(self.rng.choice([id for id in self.seen if self.model.lead(id) == self.model.lead(other)]))
        answer = await self.people.ask(of, "/unmerge", {"other": self.reference(other)})
        if self.model.unmerge(other):
            assert (answer.status, answer.json["changed"]) == (200, True)
        else:
            assert answer.status == 404 or answer.json["changed"] is False

    async def die(self) -> None:
        """A process accepts a merge, or takes one back, and goes no further, or only some of the way."""
        winner, loser = self.rng.choice(self.seen), self.rng.choice(self.seen)
        resources = self.people.resources
        self.told.append(f"die {loser} into {winner}")
        async with store.turn(resources.postgres, self.workspace) as connection:
            if self.model.in_force and self.rng.random() < 0.4:
                taken = self.rng.choice(sorted(self.model.in_force))
                row = await store.newest(connection, self.workspace, self.named(taken))
                assert row is not None
                row = await store.undo(connection, self.workspace, row["id"], "x")
                del self.model.in_force[taken]
            else:
                pair = await decide(connection, resources, self.workspace, self.named(winner), self.named(loser))
                assert self.model.merge(winner, loser) == (pair.winner != pair.loser)
                if pair.winner == pair.loser:
                    return
                row = await store.record(connection, self.workspace, *pair, "x")
        how_far = self.rng.randrange(4)
        if how_far == 3:
            await Applier(resources).apply(self.workspace)
            await resources.postgres.execute("UPDATE profile.merges SET applied = false WHERE id = $1", row["id"])
        elif how_far:
            values = [[value] for value in store.in_clickhouse(row)]
            columns = ("workspace_id", "loser_key", "winner_key", "winner_kind", "winner_id", "undone", "version")
            await resources.clickhouse.insert("cdp.identity_merges", columns, values)
            if how_far == 2:
                await identity.reload_identity(resources.clickhouse)

    async def at_once(self) -> None:
        """Merges at once, of the same pair in both directions, too, leave what one order of them leaves."""
        pairs = [(self.rng.choice(self.seen), self.rng.choice(self.seen)) for _ in range(2)]
        pairs.append((pairs[0][1], pairs[0][0]))
        self.told.append(f"at once {pairs}")
        posts = [
            self.people.post(self.reference(winner), "merge", other=self.reference(loser)) for winner, loser in pairs
        ]
        changed = [answer["changed"] for answer in await asyncio.gather(*posts)]
        async with self.people.resources.postgres.connection() as connection:
            rows = await connection.fetch(_IN_FORCE, self.workspace)
        left: dict[Person, Person] = {
            (row["loser_kind"], row["loser_id"]): (row["winner_kind"], row["winner_id"]) for row in rows
        }
        outcomes = []
        for order in permutations(range(len(pairs))):
            model = copy(self.model)
            model.in_force = dict(self.model.in_force)
            did = {number: model.merge(*pairs[number]) for number in order}
            outcomes.append(([did[number] for number in range(len(pairs))], model.in_force))
        assert (changed, left) in outcomes
        self.model.in_force = left

    def named(self, person: Person) -> Named:
        return Named(key_of(self.workspace, *person), *person)

    async def compare(self) -> None:
        """Ask for the profile of every id."""
        for owner, profile in self.profiles.items():
            expected = wanted(self.workspace, owner, profile)
            for id in profile.ids:
                assert shown(await self.people.get(self.reference(id))) == expected


def wanted(workspace: UUID, owner: Person, profile: oracle.Profile) -> dict[str, Any]:
    """A profile by the definition, in the form of `shown`."""
    first, last = profile.seen
    return {
        "id": str(oracle.profile_id(workspace, owner)),
        "user_id": profile.user_id,
        "anonymous_ids": profile.anonymous_ids,
        "traits": {name: plain(value) for name, value in plain(profile.traits).items()},
        "trait_origins": {plain(name): (at / 1000, message) for name, (at, message) in profile.origins.items()},
        "first_seen_at": first / 1000,
        "last_seen_at": last / 1000,
    }


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """A profile as it was answered, times as seconds."""
    origins = {name: (seconds(each["at"]), each["message_id"]) for name, each in answer["trait_origins"].items()}
    times = {name: seconds(answer[name]) for name in ("first_seen_at", "last_seen_at")}
    return answer | times | {"trait_origins": origins}


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def plain(value: Any) -> Any:
    """As PostgreSQL can hold it."""
    return json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))


@settings(
    max_examples=int(os.environ.get("MERGE_EXAMPLES", "1")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
@given(seed=st.integers(0, 2**32))
async def test_profiles_are_what_the_definition_says_however_they_are_merged(
    platform: Platform, resources: Resources, http: aiohttp.ClientSession, seed: int
) -> None:
    rng = Random(seed)
    lives = [
        Life(People(Api(platform.settings, platform.url, uuid4(), http), resources), Random(rng.random()))
        for _ in range(LIVES)
    ]
    outcomes = await asyncio.gather(*(each.live() for each in lives), return_exceptions=True)
    for life, outcome in zip(lives, outcomes, strict=True):
        if outcome is not None:
            raise AssertionError(f"seed {seed}: " + "\n".join(life.told)) from outcome
