"""`profile.traits.…` in questions about events: the traits, as they are now, of whoever an event belongs to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.kit.identity import actor_key_of
from services.kit.settings import Settings
from services.profile.projection import project
from services.profile.resources import Resources
from tests.api import Api, stamp
from tests.oracle import events as events_oracle
from tests.oracle import identity as identity_oracle
from tests.oracle import predicates as predicates_oracle
from tests.oracle import profiles as profiles_oracle
from tests.oracle.predicate_samples import AS_OF, Samples
from tests.oracle.profiles import Profile
from tests.people import T0, connected, event
from tests.platform import Platform

ZONE = "Europe/Berlin"
NOW = round(AS_OF.timestamp() * 1000)


@pytest.fixture(scope="module")
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with connected(infra) as found:
        yield found


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def api(platform: Platform, http: aiohttp.ClientSession) -> Api:
    return Api(platform.settings, platform.url, uuid4(), http)


class ProfileSamples(Samples):
    """Asks mostly of profiles."""

    def field(self, inside: bool) -> str:
        if inside or self.random() < 0.2:
            return super().field(inside)
        return f"profile.traits.{self.path()}"

    def history(self) -> list[dict[str, Any]]:
        """Return events of a few actors; a third of them say something of traits."""
        events = []
        for number in range(40):
            sent = self.event() | {
                "message_id": f"m{number}",
                "user_id": self.choice(("", "", "u1", "u2", "x", "null")),
                "anonymous_id": self.choice(("a1", "a2", "x")),
                "timestamp": NOW - self.randrange(10_000_000),
                "received_at": NOW + number,
            }
            if self.random() < 0.35:
                del sent["properties"]
                sent |= {"table": "identify", "traits": self.object()}
                sent["traits_null"] = [path for path, value in profiles_oracle.leaves(sent["traits"]) if value is None]
            events.append(sent)
        return events


def flat(profile: Profile | None) -> dict[str, Any]:
    """What a question sees of a profile. NUL is U+FFFD in it, for PostgreSQL holds none."""
    if profile is None:
        return {}
    return {clean(path): clean(value) for path, value in predicates_oracle.stored(profile.traits).items()}


def clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [clean(each) for each in value]
    return {clean(name): clean(each) for name, each in value.items()} if isinstance(value, dict) else value


async def made(resources: Resources, workspace: UUID, *ids: str) -> None:
    """Let the profiles of some ids be what the events say."""
    keys = {actor_key_of(workspace, kind, id) for id in ids for kind in ("user", "anonymous")}
    await project(resources, workspace, keys)


@settings(
    max_examples=int(os.environ.get("PROFILE_FIELD_EXAMPLES", "3")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
@given(seed=st.integers(0, 2**32))
async def test_predicates_ask_the_traits_of_whoever_an_event_belongs_to(
    platform: Platform, http: aiohttp.ClientSession, resources: Resources, seed: int
) -> None:
    samples = ProfileSamples(seed)
    api = Api(platform.settings, platform.url, uuid4(), http)
    events = samples.history()
    await api.write(events)
    await made(resources, api.workspace, "u1", "u2", "x", "a1", "a2")
    profiles = profiles_oracle.profiles(api.workspace, events, {})
    people = identity_oracle.actors(
        api.workspace,
        [
            identity_oracle.Event(
                *(each[name] for name in ("table", "message_id", "user_id", "anonymous_id")),
                datetime.fromisoformat(stamp(each["timestamp"])),
            )
            for each in events
        ],
        {},
    )
    seen = {
        each["message_id"]: each
        | {key: datetime.fromtimestamp(each[key] / 1000, UTC) for key in ("timestamp", "received_at")}
        | {"profile": flat(profiles.get(people[each["table"], each["message_id"]] or ("user", "")))}
        for each in events_oracle.distinct(events)
        if each["table"] != "identify"
    }
    for _ in range(15):
        tree = samples.tree()
        body = {"table": ["track", "page"], "from": stamp(T0), "to": stamp(NOW + 1), "as_of": stamp(NOW), "where": tree}
        found = await api.events(**body, timezone=ZONE, columns=["message_id"])
        assert {row["message_id"] for row in found} == {
            name for name, each in seen.items() if predicates_oracle.holds(tree, each, as_of=AS_OF, timezone_name=ZONE)
        }, (seed, tree)


async def people_of_two_plans(api: Api, resources: Resources) -> None:
    events = [
        event(1, user_id="ada", traits={"plan": "pro", "seats": 3, "url": "https://a/b", "tags": ["x", "y"]}),
        event(2, user_id="bob", traits={"plan": "free", "seats": "12", "email": "bob@internal.example"}),
        event(3, user_id="", anonymous_id="d1", event="Viewed"),
        event(4, user_id="ada", anonymous_id="d1", event="Bought"),
        event(5, user_id="bob", event="Bought"),
        event(6, user_id="", anonymous_id="d2", event="Bought"),
        event(7, user_id="ada", event="Bought"),
    ]
    await api.write(events)
    await made(resources, api.workspace, "ada", "bob", "d1", "d2")


RANGE = {"from": stamp(T0), "to": stamp(T0 + 86_400_000)}


async def test_breakdowns_measures_columns_and_values_read_them(api: Api, resources: Resources) -> None:
    await people_of_two_plans(api, resources)
    broken = {"by": ["profile.traits.plan"]}
    trend = RANGE | {"interval": "day", "series": [{"names": ["Bought"]}], "breakdown": broken}
    answer = (await api.call("/query/trends", trend)).json
    counted = {tuple(line["group"]["values"]): line["total"] for line in answer["data"]}
    assert counted == {("pro",): 2, ("free",): 1, (None,): 1}
    measured = RANGE | {
        "interval": "day",
        "series": [{"names": ["Bought"], "measure": "sum", "field": "profile.traits.seats"}],
    }
    assert (await api.call("/query/trends", measured)).json["data"][0]["total"] == 3 + 3 + 12
    rows = await api.events(**RANGE, table="track", columns=["message_id", "profile.traits.url"], order="oldest")
    assert [row["profile.traits.url"] for row in rows] == ["https://a/b", "https://a/b", None, None, "https://a/b"]
    values = RANGE | {"kind": "values", "field": "profile.traits.tags[]"}
    found = (await api.call("/query/catalog", values)).json["data"]
    assert Counter({entry["value"]: entry["count"] for entry in found}) == {"x": 4, "y": 4}


async def test_funnels_count_by_them_and_analyses_leave_internal_users_out(api: Api, resources: Resources) -> None:
    await people_of_two_plans(api, resources)
    funnel = RANGE | {
        "steps": [
            {"names": ["Viewed"], "where": {"field": "profile.traits.plan", "op": "eq", "value": "pro"}},
            {"names": ["Bought"]},
        ],
        "window": 3600,
    }
    answer = await api.call("/query/funnel", funnel)
    assert [step["count"] for step in answer.json["data"][0]["steps"]] == [1, 1], answer.body
    settings = (await api.call("/workspace", method="GET")).json
    internal = {"field": "profile.traits.email", "op": "ends_with", "value": "@internal.example"}
    kept = await api.call("/workspace", settings | {"internal_users": internal}, method="PUT")
    assert kept.status == 200, kept.body
    trend = RANGE | {"interval": "day", "series": [{"names": ["Bought"]}]}
    assert (await api.call("/query/trends", trend)).json["data"][0]["total"] == 3


async def test_answers_follow_a_trait_that_changes_in_a_range_that_is_over(api: Api, resources: Resources) -> None:
    await people_of_two_plans(api, resources)
    body = RANGE | {"table": "track", "where": {"field": "profile.traits.plan", "op": "eq", "value": "pro"}}
    first = await api.call("/query/events", body)
    assert len(first.json["data"]) == 3
    lives = first.headers.get("Cache-Control", "")
    assert "3600" not in lives, lives


async def test_another_workspace_has_no_traits_here(
    platform: Platform, http: aiohttp.ClientSession, api: Api, resources: Resources
) -> None:
    await people_of_two_plans(api, resources)
    other = Api(platform.settings, platform.url, uuid4(), http)
    await other.write([event(1, user_id="ada", event="Bought")])
    rows = await other.events(**RANGE, table="track", columns=["profile.traits.plan"])
    assert [row["profile.traits.plan"] for row in rows] == [None]


@pytest.mark.parametrize("field", ["profile", "profile.traits", "profile.first_seen_at", "profiles.traits.plan"])
async def test_other_fields_of_a_profile_are_refused_by_name(api: Api, field: str) -> None:
    body = RANGE | {"table": "track", "where": {"field": field, "op": "exists"}}
    answer = await api.call("/query/events", body)
    assert answer.status == 400
    (problem,) = answer.json["errors"]
    assert problem["pointer"] == "/where/field"
    assert "profile.traits.…" in problem["message"]
