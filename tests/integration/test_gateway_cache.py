"""Both cache levels, one flight a key, drops and their races, with real NATS and Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from contracts import subjects
from contracts.base import encode
from contracts.caching import CacheDrop, CachePolicy
from contracts.durable import EventsIngested
from contracts.errors import LimitExceeded
from gateway.cache.lease import LEASE_MILLISECONDS
from services.kit.settings import Settings
from tests.integration.gateway_support import (
    ASK,
    Responder,
    Served,
    as_uuid,
    fresh_workspace,
    nats_and_redis,
    responder,
    serving,
    until,
)

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
CLOSED = CachePolicy(
    ttl=600,
    start=int(JANUARY.timestamp() * 1000),
    end=int((JANUARY + timedelta(days=31)).timestamp() * 1000),
    closed=True,
)
LINKED = replace(CLOSED, ttl_after_events=60)
TAGGED = CachePolicy(ttl=60, tags=("segment:1",))


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with nats_and_redis() as servers:
        yield servers.settings


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Responder]:
    async with responder(settings) as answering:
        yield answering


@pytest.fixture
async def one(settings: Settings, services: Responder) -> AsyncIterator[Served]:
    async with serving(settings) as gateway:
        yield gateway


@pytest.fixture
async def two(settings: Settings, services: Responder, one: Served) -> AsyncIterator[Served]:
    async with serving(settings) as gateway:
        gateway.workspace = one.workspace
        yield gateway


async def call(served: Served, body: Any = ASK, **headers: str) -> tuple[str, int]:
    """Return X-Cache and which call of the service the answer came from."""
    async with served.ask(body, **headers) as response:
        assert response.status == 200, await response.text()
        return response.headers["X-Cache"], json.loads(await response.read())["call"]


async def drop(services: Responder, served: Served, *others: Served, **what: Any) -> None:
    """Publish a drop and wait until the gateways took it."""
    before = [gateway.gateway.trust.log.epoch for gateway in (served, *others)]
    body = encode(CacheDrop(workspace_id=as_uuid(served.workspace), **what))
    await services.connection.publish(subjects.CACHE_DROP, body)
    for gateway, epoch in zip((served, *others), before, strict=True):
        await until(lambda gateway=gateway, epoch=epoch: gateway.gateway.trust.log.epoch > epoch)


async def ingest(services: Responder, served: Served, moment: datetime, *others: Served) -> None:
    """Publish that rows at this time arrived, and wait until the gateways took it, in both levels."""
    before = [gateway.gateway.trust.log.epoch for gateway in (served, *others)]
    event = EventsIngested(workspace_id=as_uuid(served.workspace), tables=("track",), rows=1, from_=moment, to=moment)
    await services.connection.publish(subjects.ingested(as_uuid(served.workspace)), encode(event))
    for gateway, epoch in zip((served, *others), before, strict=True):
        await until(lambda gateway=gateway, epoch=epoch: gateway.gateway.trust.log.epoch > epoch)
        await gateway.gateway.listener.settled()


async def stored(served: Served) -> None:
    """Wait until what the gateway computes is in Redis."""
    await served.gateway.answers.close()


async def test_second_request_is_a_hit_with_its_age(one: Served, services: Responder) -> None:
    assert await call(one) == ("miss", 1)
    await asyncio.sleep(1.1)
    async with one.ask() as response:
        assert response.headers["X-Cache"] == "hit"
        assert int(response.headers["Age"]) >= 1
    assert services.calls == 1


async def test_another_spelling_of_the_request_hits_and_is_known_by_its_bytes_from_then_on(one: Served) -> None:
    await call(one, b'{"table":"track","limit":3}')
    spelled = b'{ "limit": 3, "table": "track", "order": "newest" }'
    assert (await call(one, spelled))[0] == "hit"
    aliases = len(one.gateway.memory._aliases)
    assert aliases == 2
    assert (await call(one, spelled))[0] == "hit"


async def test_workspaces_operations_and_requests_do_not_share_answers(one: Served, services: Responder) -> None:
    await call(one)
    assert (await call(one, {"limit": 4}))[0] == "miss"
    assert (await call(one, X_Workspace_Id=fresh_workspace()))[0] == "miss"
    async with one.ask({"kind": "names"}, "/query/catalog") as response:
        assert response.headers["X-Cache"] == "miss"
    assert services.calls == 4


async def test_no_cache_computes_anew_and_refreshes_what_others_get(one: Served) -> None:
    assert await call(one) == ("miss", 1)
    assert await call(one, Cache_Control="no-cache") == ("bypass", 2)
    assert await call(one) == ("hit", 2)


@pytest.mark.parametrize("policy", [None, CachePolicy(ttl=0)])
async def test_answers_without_a_policy_are_not_kept(
    one: Served, services: Responder, policy: CachePolicy | None
) -> None:
    services.policy = policy
    assert [await call(one) for _ in range(2)] == [("miss", 1), ("miss", 2)]


async def test_errors_are_not_kept(one: Served, services: Responder) -> None:
    services.respond = lambda message: services.fail(message, LimitExceeded("too much"))
    async with one.ask() as response:
        assert response.status == 422
    services.respond = services.count
    assert await call(one) == ("miss", 2)


async def test_operations_without_a_cache_are_asked_each_time(one: Served, services: Responder) -> None:
    for _ in range(2):
        async with one.session.get(one.url + "/workspace", headers={"X-Workspace-Id": one.workspace}) as response:
            assert "X-Cache" not in response.headers
    assert services.calls == 2


async def test_a_gateway_hits_what_another_computed(one: Served, two: Served, services: Responder) -> None:
    assert await call(one) == ("miss", 1)
    await stored(one)
    assert await call(two) == ("hit", 1)
    assert await call(two) == ("hit", 1)
    assert services.calls == 1


async def test_fifty_clients_at_once_make_one_call(one: Served, services: Responder) -> None:
    services.delay = 0.3
    answers = await asyncio.gather(*(call(one) for _ in range(50)))
    assert {number for _, number in answers} == {1}
    assert services.calls == 1


async def test_clients_of_two_gateways_make_one_call(one: Served, two: Served, services: Responder) -> None:
    services.delay = 0.5
    answers = await asyncio.gather(*(call(gateway) for gateway in (one, two) for _ in range(10)))
    assert {number for _, number in answers} == {1}
    assert services.calls == 1


async def test_first_client_leaving_fails_nobody_and_the_last_one_stops_the_work(
    one: Served, services: Responder
) -> None:
    services.delay = 0.6
    first = asyncio.create_task(call(one))
    await until(lambda: services.calls == 1)
    second = asyncio.create_task(call(one))
    await asyncio.sleep(0.1)
    first.cancel()
    assert (await second)[1] == 1
    assert services.calls == 1 and not services.cancelled

    alone = asyncio.create_task(call(one, {"limit": 5}))
    await until(lambda: services.calls == 2)
    alone.cancel()
    await until(lambda: services.cancelled)


async def test_followers_of_a_failure_get_it_and_the_next_request_tries_again(one: Served, services: Responder) -> None:
    services.delay = 0.2
    services.respond = lambda message: services.fail(message, LimitExceeded("too much"))

    async def status() -> int:
        async with one.ask() as response:
            status: int = response.status
            return status

    assert set(await asyncio.gather(*(status() for _ in range(5)))) == {422}
    assert services.calls == 1
    services.respond = services.count
    assert await status() == 200


async def test_a_follower_with_time_left_outlives_the_leader_s_deadline(
    settings: Settings, services: Responder
) -> None:
    async with serving(settings, request_timeout_seconds=1.0) as one:
        services.delay = 1.5

        async def status() -> int:
            async with one.ask() as response:
                status: int = response.status
                return status

        leader = asyncio.create_task(status())
        await until(lambda: services.calls == 1)
        await asyncio.sleep(0.7)
        services.delay = 0.0
        follower = asyncio.create_task(status())
        assert (await leader, await follower) == (504, 200)


async def test_a_lease_whose_holder_died_blocks_no_longer_than_its_life(one: Served, services: Responder) -> None:
    await call(one)
    await stored(one)
    guard = one.gateway.remote.guard
    keys = [key async for key in guard._client.scan_iter(match=f"cdp:cache:{{{one.workspace}}}:*")]
    assert len(keys) == 1
    await guard._client.delete(keys[0])
    one.gateway.memory.clear()
    await guard._client.set(keys[0].replace(b"cdp:cache:", b"cdp:lease:"), b"dead", px=LEASE_MILLISECONDS)
    started = asyncio.get_running_loop().time()
    assert await call(one) == ("miss", 2)
    assert 1.0 < asyncio.get_running_loop().time() - started < LEASE_MILLISECONDS / 1000 + 1


async def test_ingestion_drops_closed_ranges_it_touches_in_both_levels(
    one: Served, two: Served, services: Responder
) -> None:
    services.policy = CLOSED
    await call(one)
    await stored(one)
    await ingest(services, one, JANUARY + timedelta(days=40))
    await ingest(services, one, JANUARY + timedelta(days=31))
    assert await call(one) == ("hit", 1)
    await ingest(services, one, JANUARY + timedelta(days=30))
    await until(lambda: two.gateway.trust.log.epoch == one.gateway.trust.log.epoch)
    assert await call(two) == ("miss", 2)
    assert (await call(one))[1] == 2


async def test_ingestion_leaves_open_ranges_to_their_time_to_live(one: Served, services: Responder) -> None:
    services.policy = CachePolicy(ttl=60, start=CLOSED.start)
    await call(one)
    await ingest(services, one, JANUARY + timedelta(days=5))
    assert await call(one) == ("hit", 1)


LATER = JANUARY + timedelta(days=400)


def lives(*gateways: Served) -> list[float]:
    """Return the seconds for which each gateway's memory keeps its one entry."""
    return [slot.entry.ttl for gateway in gateways for slot in gateway.gateway.memory._slots.values()]


async def redis_lives(served: Served) -> list[int]:
    """Return the seconds for which Redis still keeps each entry of the workspace."""
    client = served.gateway.remote.guard._client
    keys = [key async for key in client.scan_iter(match=f"cdp:cache:{{{served.workspace}}}:*")]
    return [await client.ttl(key) for key in keys]


async def test_events_of_any_time_leave_answers_with_actors_their_ordinary_life(
    one: Served, two: Served, services: Responder
) -> None:
    services.policy = LINKED
    await call(one)
    await stored(one)
    assert await call(two) == ("hit", 1)
    assert min(lives(one, two)) > 500 and min(await redis_lives(one)) > 500
    await ingest(services, one, LATER, two)
    assert lives(one, two) == [60, 60] and max(await redis_lives(one)) <= 60
    two.gateway.memory.clear()
    assert await call(two) == ("hit", 1)
    assert max(lives(one, two)) <= 61, "what another gateway's entry has left is read with it"
    await ingest(services, one, JANUARY, two)
    assert await call(two) == ("miss", 2), "what touches the range drops it at once"


async def test_answers_with_actors_older_than_an_ordinary_life_end_with_the_first_event(
    settings: Settings, services: Responder
) -> None:
    services.policy = LINKED
    async with serving(settings, cache_ttl_query_seconds=1) as one, serving(settings, cache_ttl_query_seconds=1) as two:
        two.workspace = one.workspace
        await call(one)
        await stored(one)
        await asyncio.sleep(1.1)
        assert await call(one) == ("hit", 1)
        assert await call(two) == ("hit", 1), "nothing arrived"
        await ingest(services, one, LATER, two)
        assert not lives(one, two) and not await redis_lives(one)
        assert await call(two) == ("miss", 2)


async def test_an_answer_with_actors_is_shortened_by_what_arrives_while_it_is_computed(
    one: Served, two: Served, services: Responder
) -> None:
    services.policy = LINKED
    services.delay = 0.4
    asking = asyncio.create_task(call(one))
    await until(lambda: services.calls == 1)
    await ingest(services, one, LATER, two)
    assert await asking == ("miss", 1)
    await stored(one)
    assert await call(two) == ("hit", 1)
    assert max(lives(one, two)) <= 60 and max(await redis_lives(one)) <= 60


async def test_closed_ranges_outlive_the_open_ones_time_to_live(settings: Settings, services: Responder) -> None:
    async with serving(settings, cache_ttl_query_seconds=1) as one:
        for policy, expected in ((CachePolicy(ttl=600), "miss"), (CLOSED, "hit")):
            services.policy = policy
            body = {"limit": 1 + len(expected)} | ({"order": "oldest"} if policy.closed else {})
            await call(one, body)
            await asyncio.sleep(1.1)
            assert (await call(one, body))[0] == expected


async def test_a_tag_drops_at_once_whatever_the_range(one: Served, two: Served, services: Responder) -> None:
    services.policy = TAGGED
    await call(one)
    await stored(one)
    await call(two)
    await drop(services, one, two, tags=("segment:2",))
    assert await call(one) == ("hit", 1)
    await drop(services, one, two, tags=("segment:1",))
    assert await call(one) == ("miss", 2)


async def test_a_request_after_a_drop_does_not_get_what_redis_still_holds(one: Served, services: Responder) -> None:
    services.policy = TAGGED
    for number in range(1, 6):
        await call(one)
        await stored(one)
        for other in range(100):  # Redis is busy with other drops
            await drop(services, one, tags=(f"segment:x{other}",))
        await drop(services, one, tags=("segment:1",))
        assert await call(one) == ("miss", 2 * number)
        await drop(services, one, tags=("segment:1",))


async def test_an_answer_begun_before_a_drop_is_not_kept_after_it(one: Served, services: Responder) -> None:
    services.policy = TAGGED
    services.delay = 0.4
    asking = asyncio.create_task(call(one))
    await until(lambda: services.calls == 1)
    await drop(services, one, tags=("segment:1",))
    assert await asking == ("miss", 1)
    await stored(one)
    services.delay = 0.0
    assert await call(one) == ("miss", 2), "neither level kept it"


async def test_a_request_after_a_tag_drop_does_not_join_what_began_before_it(one: Served, services: Responder) -> None:
    services.policy = TAGGED
    services.delay = 0.5
    before = asyncio.create_task(call(one))
    await until(lambda: services.calls == 1)
    await drop(services, one, tags=("segment:1",))
    after = asyncio.create_task(call(one))
    assert (await before)[1] == 1
    assert (await after)[1] == 2


async def test_an_unreadable_drop_empties_the_memory_level(one: Served, services: Responder) -> None:
    services.policy = TAGGED
    await call(one)
    await stored(one)
    await services.connection.publish(subjects.CACHE_DROP, b'{"workspace_id":"of a newer version"}')
    await until(lambda: one.gateway.listener.ignored)
    assert len(one.gateway.memory) == 0
    assert await call(one) == ("miss", 2), "tagged entries of Redis from before are not trusted either"


async def test_a_gateway_started_later_trusts_old_closed_entries_only_as_long_as_open_ones(
    settings: Settings, one: Served, services: Responder
) -> None:
    services.policy = CLOSED
    await call(one)
    await stored(one)
    await asyncio.sleep(1.2)
    async with serving(settings, cache_ttl_query_seconds=1) as later:
        later.workspace = one.workspace
        assert await call(later) == ("miss", 2)


async def test_streamed_and_oversized_answers_are_not_kept(settings: Settings, services: Responder) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"call":'
        yield b"7}"

    async with serving(settings, cache_memory_bytes=10_000) as one:
        services.respond = lambda message: services.stream(message, chunks(), "application/json")
        assert [await call(one) for _ in range(2)] == [("miss", 7), ("miss", 7)]
        assert services.calls == 2
        assert len(one.gateway.memory) == 0


async def test_followers_of_a_streamed_answer_make_their_own_calls(one: Served, services: Responder) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"call":1}'

    services.delay = 0.2
    services.respond = lambda message: services.stream(message, chunks(), "application/json")
    answers = await asyncio.gather(*(call(one) for _ in range(4)))
    assert answers == [("miss", 1)] * 4
    assert services.calls == 4
