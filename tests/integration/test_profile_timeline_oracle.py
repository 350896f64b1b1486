"""Random histories over HTTP: pages of timelines while events, links, merges and unmerges come in between, sessions and
summaries. All are what the definitions say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.kit.settings import Settings
from services.profile.resources import Resources
from tests.api import Api
from tests.oracle import events as events_oracle
from tests.oracle import identity as identity_oracle
from tests.oracle import series
from tests.oracle import session as session_oracle
from tests.oracle import timeline as oracle
from tests.oracle.events import Event
from tests.oracle.histories import history
from tests.oracle.identity import Person
from tests.people import People, connected
from tests.platform import Platform

START = datetime(2024, 3, 25, tzinfo=UTC)  # the clocks of Berlin change on the 31st
ZONE = "Europe/Berlin"
AS_OF = START + timedelta(days=20)


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="module")
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with connected(infra) as found:
        yield found


def milliseconds(text: str | None) -> int | None:
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)


def seen(summed: Any) -> tuple[int | None, int | None]:
    return milliseconds(summed["first_seen_at"]), milliseconds(summed["last_seen_at"])


class World:
    """A workspace, and what the definitions say is in it."""

    def __init__(self, people: People, rng: Random) -> None:
        self.people, self.rng = people, rng
        self.events: list[Event] = []
        self.merges: dict[Person, Person] = {}
        self.rounds = 0

    async def write(self, count: int) -> None:
        """Let more events of the same few people come in, of any time, some of them sent before."""
        drawn = history(self.rng, people=4, events=count, start=START, days=9, zone=ZONE)
        self.rounds += 1
        new = [event | {"message_id": f"{event['message_id']}-{self.rounds}"} for event in drawn]
        again = self.rng.sample(self.events, min(3, len(self.events)))
        new += [event | {"received_at": event["received_at"] + 1} for event in again]
        self.events += new
        await self.people.write(*new)

    @property
    def pairs(self) -> list[tuple[Any, Event]]:
        """The events, each once, with whose they are."""
        return series.keyed(self.events, self.people.api.workspace, "actor", self.merges)

    def persons(self) -> list[Person]:
        return sorted({key for key, _ in self.pairs})

    def of(self, id_: Person) -> list[Event]:
        """The events of the person that an id belongs to."""
        links = identity_oracle.first_links(
            identity_oracle.Event(
                event["table"],
                event["message_id"],
                event["user_id"],
                event["anonymous_id"],
                datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
            )
            for event in events_oracle.distinct(self.events)
        )
        person = identity_oracle.resolve(self.people.api.workspace, id_, links, self.merges)
        return [event for key, event in self.pairs if key == person]

    def reference(self, id_: Person) -> str:
        return f"{id_[0]}_id:{id_[1]}"

    async def merge(self) -> None:
        """Merge two people, or take a merge back."""
        if self.merges and self.rng.random() < 0.4:
            loser, winner = self.rng.choice(list(self.merges.items()))
            await self.people.post(self.reference(winner), "unmerge", other=self.reference(loser))
            del self.merges[loser]
            return
        one, other = self.rng.sample(self.persons(), 2)
        answer = await self.people.post(self.reference(one), "merge", other=self.reference(other))
        assert answer["changed"]
        names = [answer["merge"][side]["actor"] for side in ("loser", "winner")]
        loser, winner = ((name["kind"], name["id"]) for name in names)
        self.merges[loser] = winner

    async def change(self) -> None:
        kind = self.rng.random()
        if kind < 0.4:
            await self.write(6)
        elif kind < 0.8 and len(self.persons()) > 1:
            await self.merge()


async def read(people: People, reference: str, what: str, **query: Any) -> Any:
    answer = await people.ask(reference, f"/{what}?{urlencode(query, doseq=True)}")
    assert answer.status == 200, (reference, what, query, answer.body)
    return answer.json


@pytest.fixture(scope="module")
def make(platform: Platform, http: aiohttp.ClientSession, resources: Resources) -> Any:
    return lambda seed: World(People(Api(platform.settings, platform.url, uuid4(), http), resources), Random(seed))


@pytest.mark.timeout(300)
@settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_pages_hold_what_the_person_has_behind_the_one_before(make: Any, seed: int) -> None:
    world = make(seed)
    rng = world.rng
    await world.write(40)
    for _ in range(3):
        id_, newest, limit = rng.choice(world.persons()), rng.random() < 0.6, rng.choice((2, 3, 5))
        asked = {"order": "newest" if newest else "oldest", "limit": limit, "as_of": AS_OF.isoformat()}
        after, more = None, {}
        while True:
            expected, after = oracle.page(world.of(id_), newest=newest, after=after, limit=limit)
            found = await read(world.people, world.reference(id_), "events", **asked, **more)
            shown = [(milliseconds(row["timestamp"]), row["message_id"], row["table"]) for row in found["data"]]
            assert shown == [(event["timestamp"], event["message_id"], event["table"]) for event in expected]
            for row, event in zip(found["data"], expected, strict=True):
                assert milliseconds(row["received_at"]) == event["received_at"]
            assert (found["next_cursor"] is None) == (after is None)
            if after is None:
                break
            more = {"cursor": found["next_cursor"]}
            if rng.random() < 0.4:
                await world.change()


@pytest.mark.timeout(300)
@settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
async def test_sessions_and_summaries_are_what_the_definitions_say(make: Any, seed: int) -> None:
    world = make(seed)
    rng = world.rng
    await world.write(60)
    for _ in range(2):
        await world.merge()
    for id_ in rng.sample(world.persons(), min(3, len(world.persons()))):
        mine = world.of(id_)
        request = {
            "table": rng.choice((["track", "page"], ["page"], ["track", "identify", "page", "group"])),
            "timeout": rng.choice((60, 1_800, 86_400)),
            "max_duration": rng.choice((3_600, 86_400)),
        }
        start, end = START + timedelta(days=rng.choice((-1, 2))), AS_OF - timedelta(days=rng.choice((0, 13)))
        pairs: Any = [(id_, event) for event in mine]
        expected = session_oracle.of_request(request, pairs, start=start, end=end, as_of=end)
        newest = rng.random() < 0.5
        asked = request | {"from": start.isoformat(), "to": end.isoformat(), "order": "newest" if newest else "oldest"}
        listed: list[Any] = []
        more: dict[str, Any] = {}
        while True:
            found = await read(
                world.people, world.reference(id_), "sessions", **asked, limit=rng.choice((2, 5)), **more
            )
            listed += found["data"]
            assert found["total"] == len(expected)
            if found["next_cursor"] is None:
                break
            more = {"cursor": found["next_cursor"]}
        shown = [
            (milliseconds(one["start"]), milliseconds(one["end"]), one["events"], one["entry_page"], one["exit_page"])
            for one in listed
        ]
        wanted = [
            (one.start, one.end, len(one.events), session_oracle.page(one, False), session_oracle.page(one, True))
            for one in expected
        ]
        assert shown == sorted(wanted, key=lambda one: one[0], reverse=newest)
        as_of = START + timedelta(days=rng.choice((3, 12)), hours=rng.randrange(24))
        before = [event for event in mine if event["timestamp"] < as_of.timestamp() * 1000]
        told = await read(world.people, world.reference(id_), "summary", timezone=ZONE, as_of=as_of.isoformat())
        assert {
            "events": told["events"],
            "seen": seen(told),
            "days_active": told["days_active"],
            "names": [(one["table"], one["name"], one["events"], *seen(one)) for one in told["names"]],
            "days": [(one["day"], one["events"]) for one in told["days"]],
        } == oracle.summary(before, ZONE, as_of)
