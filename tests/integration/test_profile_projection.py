"""The projector: new events become profiles, others hear of it, and what is interrupted is made up for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import nats
import pytest

from contracts import subjects
from contracts.durable import ProfileChanged
from contracts.errors import Unavailable
from services.kit import sql
from services.kit.identity import actor_key_of
from services.kit.lifecycle import close_quietly
from services.kit.settings import Settings
from services.profile.projection import project, reading, second, traits
from services.profile.projection.blocks import look
from services.profile.projection.follower import Follower
from services.profile.projection.rebuild import rebuild
from services.profile.resources import Resources
from tests.api import Api, insert
from tests.oracle.profiles import profile_id
from tests.people import connected, event
from tests.platform import ROOT, Platform, environment


@pytest.fixture
async def resources(infra: Settings) -> AsyncIterator[Resources]:
    async with connected(infra) as found:
        yield found


@pytest.fixture
async def follower(resources: Resources) -> Follower:
    """One that follows what comes from now on."""
    made = Follower(resources)
    _, made.read = look({}, await made.reader.parts(), now=0, patience=0)
    made.blocked = await made.reader.blocked()
    return made


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """Wait until a coroutine function returns something true, and return that."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found


async def shown(api: Api, reference: str) -> dict[str, Any] | None:
    answer = await api.call(f"/profiles/{reference}", method="GET")
    assert answer.status in (200, 404), answer.body
    return answer.json if answer.status == 200 else None


async def kept(resources: Resources, workspace: UUID) -> dict[str | None, dict[str, Any]]:
    """The profiles of a workspace in PostgreSQL, by user id."""
    async with resources.postgres.connection() as connection:
        rows = await connection.fetch("SELECT * FROM profiles WHERE workspace_id = $1", workspace)
    return {row["user_id"]: dict(row) | {"traits": msgspec.json.decode(row["traits"])} for row in rows}


async def test_new_events_become_a_profile_which_changes_with_them_and_others_hear_of_it(
    platform: Platform, api: Api
) -> None:
    connection = await nats.connect(platform.settings.nats_url)
    try:
        heard = await connection.subscribe(f"cdp.evt.v1.profiles.changed.{api.workspace}.*")
        await api.write([event(1, anonymous_id="phone")])
        stranger = await eventually(lambda: shown(api, "anonymous_id:phone"))
        assert stranger["user_id"] is None
        await api.write([event(2, user_id="ada", anonymous_id="phone", traits={"plan": "free"})])
        ada = await eventually(lambda: shown(api, "user_id:ada"))
        assert ada["anonymous_ids"] == ["phone"]
        assert ada["traits"] == {"plan": "free"}
        assert (await shown(api, f"{stranger['id']}") or {})["id"] == ada["id"]
        await api.write([event(3, user_id="ada")])
        await eventually(lambda: _seen_at(api, "2026-01-01T00:03:00Z"))
        await api.write([event(4, user_id="ada", traits={"plan": "pro"})])
        changes = [msgspec.json.decode((await heard.next_msg(10)).data, type=ProfileChanged) for _ in range(4)]
    finally:
        await close_quietly(connection.close)
    ids = {name: profile_id(api.workspace, person) for name, person in _PERSONS.items()}
    assert [str(ids["ada"]), str(ids["phone"])] == [ada["id"], stranger["id"]]
    said = {(each.change, each.profile_id, each.into, each.fields, each.traits) for each in changes}
    assert said == {
        ("created", ids["phone"], None, (), ()),
        ("created", ids["ada"], None, (), ("plan",)),
        ("merged", ids["phone"], ids["ada"], (), ()),
        ("updated", ids["ada"], None, ("traits", "last_seen_at"), ("plan",)),
    }


_PERSONS: dict[str, Any] = {"ada": ("user", "ada"), "phone": ("anonymous", "phone")}


async def _seen_at(api: Api, moment: str) -> bool:
    found = await shown(api, "user_id:ada")
    return found is not None and bool(found["last_seen_at"] == moment)


async def test_a_link_that_its_view_has_not_written_is_made_up_for(
    resources: Resources, follower: Follower, workspace: UUID
) -> None:
    rows = [event(1, anonymous_id="phone"), event(2, user_id="ada", anonymous_id="phone")]
    async with aiohttp.ClientSession() as http:
        await insert(resources.settings, http, {workspace: rows}, reload=False)
    await resources.clickhouse.execute(f"DELETE FROM cdp.identity_links WHERE workspace_id = {sql.uuid(workspace)}")
    await follower.step()
    found = await kept(resources, workspace)
    assert list(found) == ["ada"]
    assert found["ada"]["anonymous_ids"] == ["phone"]


@pytest.mark.parametrize(("links", "before"), [(10_000, ["bob"]), (1, [])])
async def test_those_whom_no_new_link_concerns_are_there_before_it_is_loaded_unless_links_are_many(
    resources: Resources,
    follower: Follower,
    workspace: UUID,
    monkeypatch: pytest.MonkeyPatch,
    links: int,
    before: list[str],
) -> None:
    names = {actor_key_of(workspace, kind, id_): id_ for kind, id_ in (("user", "ada"), ("user", "bob"))}
    reload, concerned, found = follower.reader.reload, list[str](), list[list[str]]()

    async def remember(_: Resources, where: UUID, keys: Collection[int]) -> None:
        if where == workspace:
            concerned.extend(sorted(names[key] for key in keys if key in names))

    async def told() -> bool:
        return bool(concerned)

    async def reload_after_a_look() -> None:
        with suppress(TimeoutError):  # the others are projected meanwhile, if they are
            await eventually(told, 5.0 if before else 0.5)
        found.append(list(concerned))
        await reload()

    monkeypatch.setattr(follower, "_before", remember)
    monkeypatch.setattr(follower.reader, "reload", reload_after_a_look)
    monkeypatch.setattr(reading, "_LINKS", links)
    rows = [event(1, anonymous_id="phone"), event(2, user_id="ada", anonymous_id="phone"), event(3, user_id="bob")]
    async with aiohttp.ClientSession() as http:
        await insert(resources.settings, http, {workspace: rows}, reload=False)
    await follower.step()
    people = await kept(resources, workspace)
    assert sorted(map(str, people)) == ["ada", "bob"]
    assert people["ada"]["anonymous_ids"] == ["phone"]
    assert sorted(concerned) == ["ada", "bob"]
    # Others load links, too: the server every half a minute, and whoever else projects. They may just have done.
    assert found in ([before], [])


async def test_traits_that_did_not_reach_clickhouse_are_sent_later(
    resources: Resources, follower: Follower, workspace: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("ClickHouse does not answer")

    async with aiohttp.ClientSession() as http:
        await insert(resources.settings, http, {workspace: [event(1, user_id="ada", traits={"score": 7})]})
    with monkeypatch.context() as patched:
        patched.setattr(traits, "insert", away)
        with pytest.raises(Unavailable):
            await project(resources, workspace, [actor_key_of(workspace, "user", "ada")])
    assert (await kept(resources, workspace))["ada"]["traits"] == {"score": 7}
    await follower.step()
    result = await resources.clickhouse.query(
        f"SELECT key, value, num FROM cdp.profile_traits FINAL WHERE workspace_id = {sql.uuid(workspace)}",
        query_id=uuid4().hex,
        timeout=10,
    )
    assert list(result.rows()) == [(b"score", b"7", 7.0)]


async def test_rows_removed_behind_its_back_are_gone_from_profiles_after_a_rebuild(
    resources: Resources, workspace: UUID
) -> None:
    rows = [event(1, user_id="ada", traits={"plan": "free"}), event(2, user_id="ada"), event(3, user_id="bob")]
    async with aiohttp.ClientSession() as http:
        await insert(resources.settings, http, {workspace: rows})
    keys = [actor_key_of(workspace, "user", id) for id in ("ada", "bob")]
    await project(resources, workspace, keys)
    for table, message in (("identify", "m1"), ("track", "m3")):
        mine = f"workspace_id = {sql.uuid(workspace)} AND message_id = {sql.string(message)}"
        await resources.clickhouse.execute(f"DELETE FROM cdp.events_{table} WHERE {mine}")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "deploy.cli.main", "profiles", "rebuild", "--workspace", str(workspace)],
        env=environment(resources.settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "1 profiles are as the events say\n", done.stderr
    found = await kept(resources, workspace)
    assert list(found) == ["ada"]
    assert found["ada"]["traits"] == {}
    assert await project(resources, workspace, keys) == ()


async def lose(resources: Resources, workspace: UUID, message: str) -> None:
    """Take an event from `events_by_actor`, as if its view had failed."""
    mine = f"workspace_id = {sql.uuid(workspace)} AND message_id = {sql.string(message)}"
    await resources.clickhouse.execute(f"DELETE FROM cdp.events_by_actor WHERE {mine}")


async def held(resources: Resources, workspace: UUID) -> list[tuple[bytes, int]]:
    """The messages in both tables of track events, each with how many of the two have it."""
    mine = f"workspace_id = {sql.uuid(workspace)}"
    result = await resources.clickhouse.query(
        f"SELECT message_id, count() FROM (SELECT message_id FROM cdp.events_track FINAL WHERE {mine} "
        f"UNION ALL SELECT message_id FROM cdp.events_by_actor FINAL WHERE {mine} AND source = 'track') "
        "GROUP BY message_id ORDER BY message_id",
        query_id=uuid4().hex,
        timeout=10,
    )
    return list(result.rows())


async def test_events_that_a_view_did_not_bring_are_inserted_again(
    resources: Resources, workspace: UUID, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second, "_PATIENCE_SECONDS", 0.2)
    rows = [event(1, user_id="ada"), event(2, user_id="ada", event="late"), event(3, user_id="bob")]
    async with aiohttp.ClientSession() as http:
        await insert(resources.settings, http, {workspace: rows})
    await lose(resources, workspace, "m2")
    await follower.step()
    found = await kept(resources, workspace)
    assert found["ada"]["last_seen_at"] == datetime.fromtimestamp(rows[1]["timestamp"] / 1000, UTC)
    assert await held(resources, workspace) == [(b"m1", 2), (b"m2", 2), (b"m3", 2)]
    assert await project(resources, workspace, [actor_key_of(workspace, "user", "ada")]) == ()


async def test_a_rebuild_brings_what_a_view_did_not(resources: Resources, workspace: UUID) -> None:
    rows = [event(1, user_id="ada"), event(2, user_id="ada", event="late"), event(3, user_id="bob")]
    async with aiohttp.ClientSession() as http:
        await insert(resources.settings, http, {workspace: rows})
    await lose(resources, workspace, "m2")
    await lose(resources, workspace, "m3")
    assert await rebuild(resources, workspace) == 2
    assert await held(resources, workspace) == [(b"m1", 2), (b"m2", 2), (b"m3", 2)]
    assert sorted(await kept(resources, workspace)) == ["ada", "bob"]


async def test_nothing_is_projected_where_ingestion_owns_the_profiles(infra: Settings, workspace: UUID) -> None:
    async with (
        connected(msgspec.structs.replace(infra, profiles_source="external")) as resources,
        aiohttp.ClientSession() as http,
    ):
        await insert(infra, http, {workspace: [event(1, user_id="ada")]})
        assert await project(resources, workspace, [actor_key_of(workspace, "user", "ada")]) == ()
        assert await kept(resources, workspace) == {}


def test_a_change_is_published_under_a_subject_that_a_deletion_can_purge() -> None:
    workspace, profile = uuid4(), uuid4()
    assert subjects.profile_changed(workspace, profile) in subjects.about(workspace, profile)
