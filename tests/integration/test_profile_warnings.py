"""Ids that gather suspiciously many others, and blocking them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.kit.settings import Settings
from services.profile.ids import profile_id
from services.profile.resources import Resources
from tests.api import Api
from tests.people import People, connected, event


@pytest.fixture
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with connected(infra) as found:
        yield found


@pytest.fixture
def people(api: Api, resources: Resources) -> People:
    return People(api, resources)


async def warned(people: People, query: str = "") -> list[dict[str, Any]]:
    """Return all warnings of a workspace, page after page."""
    found, cursor = [], ""
    while cursor is not None:
        answer = await people.api.call(f"/profiles/warnings?limit=2{query}{cursor}", method="GET")
        assert answer.status == 200, answer.body
        found += answer.json["data"]
        following = answer.json["next_cursor"]
        cursor = following and f"&cursor={following}"
    return found


async def block(people: People, *ids: str) -> None:
    """Let a workspace block exactly these ids."""
    answer = await people.api.call("/workspace", {"blocked_ids": list(ids)}, method="PUT")
    assert answer.status == 200, answer.body


async def eventually(people: People, reference: str, expected: Any) -> None:
    """Wait until a profile has these anonymous ids; None: until there is none."""
    async with asyncio.timeout(25):
        while True:
            answer = await people.ask(reference)
            if (answer.json["anonymous_ids"] if answer.status == 200 else None) == expected:
                return
            await asyncio.sleep(0.2)


async def test_ids_with_suspiciously_many_others_are_told_with_how_many_and_since_when(people: People) -> None:
    workspace = people.api.workspace
    robot = [event(number, user_id="robot", anonymous_id=f"r{number}") for number in range(52)]
    kiosk = [event(100 + number, user_id=f"guest{number}", anonymous_id="kiosk") for number in range(11)]
    family = [event(200 + number, user_id=f"child{number}", anonymous_id="tv") for number in range(10)]
    await people.write(*robot, *kiosk, *family, event(300, user_id="child1", anonymous_id="tv"))
    found = await warned(people)
    lead = str(profile_id(workspace, "user", "robot"))
    shown = [(each["kind"], each["actor"], each["profile"], each["count"]) for each in found]
    assert shown == [
        ("many_ids", {"kind": "user", "id": "robot"}, lead, 53),
        ("many_devices", {"kind": "user", "id": "robot"}, lead, 52),
        ("many_users", {"kind": "anonymous", "id": "kiosk"}, str(profile_id(workspace, "user", "guest0")), 11),
    ]
    assert (found[1]["first_seen"], found[1]["last_seen"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:51:00Z")
    assert all("blocked_ids" in each["advice"] for each in found[1:])
    assert await warned(people, "&kind=many_users") == found[2:]
    identities = await people.ask("user_id:robot", "/identities")
    assert identities.json["warnings"] == found[:2]
    assert (await people.ask("user_id:guest3", "/identities")).json["warnings"] == []
    for query in ("kind=x", "cursor=x", "limit=0", "other=1"):
        assert (await people.api.call(f"/profiles/warnings?{query}", method="GET")).status == 400


async def test_blocking_an_id_makes_the_profiles_anew_and_ends_its_warning(people: People) -> None:
    kiosk = [event(number, user_id=f"guest{number}", anonymous_id="kiosk") for number in range(11)]
    demo = [event(50, user_id="demo", anonymous_id="lent"), event(51, user_id="guest1", anonymous_id="lent")]
    await people.write(*kiosk, *demo)
    assert (await people.get("anonymous_id:kiosk"))["user_id"] == "guest0"
    assert (await people.get("anonymous_id:lent"))["user_id"] == "demo"
    await block(people, "kiosk", "demo")
    await eventually(people, "user_id:guest0", [])
    await eventually(people, "user_id:guest1", ["lent"])
    assert (await people.ask("anonymous_id:kiosk")).status == 404
    assert (await people.ask("user_id:demo")).status == 404
    assert await warned(people) == []
    await block(people)
    await eventually(people, "user_id:guest0", ["kiosk"])
    await eventually(people, "user_id:demo", ["lent"])
    await eventually(people, "user_id:guest1", [])


async def test_a_merge_with_an_id_does_not_count_while_it_is_blocked(people: People) -> None:
    await people.write(event(1, anonymous_id="phone"), event(2, user_id="shop"), event(3, user_id="ada"))
    await people.post("user_id:shop", "merge", other="anonymous_id:phone")
    merge = (await people.post("user_id:ada", "merge", other="user_id:shop"))["merge"]
    await block(people, "shop")
    await eventually(people, "user_id:ada", [])
    assert (await people.get("anonymous_id:phone"))["user_id"] is None
    # Once the id counts again the one would be merged twice, and the other way round would close a circle.
    for winner, loser in (("user_id:ada", "anonymous_id:phone"), ("anonymous_id:phone", "user_id:ada")):
        refused = await people.ask(winner, "/merge", {"other": loser})
        assert refused.status == 409, refused.body
        assert "blocks" in refused.json["detail"]
    await people.post("user_id:ada", "unmerge", merge=merge["id"])
    await block(people)
    await eventually(people, "user_id:shop", ["phone"])
    assert (await people.get("user_id:ada"))["anonymous_ids"] == []
