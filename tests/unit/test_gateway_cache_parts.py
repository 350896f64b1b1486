"""The cache's parts without servers: drops, the drop log, the memory level, keys, flights."""

from __future__ import annotations

import asyncio
import gzip
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import decode_request
from contracts.caching import CacheDrop, CachePolicy
from contracts.durable import EventsIngested
from contracts.operations import OPERATIONS
from gateway.cache.drops import Drop, DropLog, from_cache_drop, from_ingested
from gateway.cache.entry import Entry
from gateway.cache.flight import Flights
from gateway.cache.keys import CanonicalKey, RawKey, canonical_key, raw_key
from gateway.cache.memory import Memory
from gateway.cache.trust import Trust

W = "11111111-2222-3333-4444-555555555555"
NOW = 1_000_000.0
bound = st.none() | st.integers(0, 20)


def entry(size: int = 10, policy: CachePolicy | None = None, ttl: int = 60, stored_at: float = NOW) -> Entry:
    return Entry(b"x" * size, "application/json", stored_at=stored_at, ttl=ttl, policy=policy or CachePolicy(ttl=ttl))


def key(name: str) -> CanonicalKey:
    return CanonicalKey(W, name)


def raw(name: str) -> RawKey:
    return RawKey(W, "query.events", "json", name.encode())


@given(bound, bound, bound, bound)
def test_a_range_drop_hits_exactly_the_closed_ranges_that_share_a_moment(
    start: int | None, end: int | None, first: int | None, last: int | None
) -> None:
    shared = any(
        (start is None or start <= moment)
        and (end is None or moment < end)
        and (first is None or first <= moment)
        and (last is None or moment <= last)
        for moment in range(-1, 23)
    )
    drop = Drop(W, frozenset(), True, first, last)
    empty = (start is not None and end is not None and start >= end) or (
        first is not None and last is not None and first > last
    )
    if not empty:
        assert drop.hits(CachePolicy(ttl=1, start=start, end=end, closed=True)) is shared
    assert not drop.hits(CachePolicy(ttl=1, start=start, end=end, closed=False))


def test_messages_become_drops() -> None:
    event = EventsIngested(
        workspace_id=UUID(W),
        tables=("track",),
        rows=2,
        from_=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        to=datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC),
    )
    assert from_ingested(event) == Drop(W, frozenset(), True, 1_000, 2_000)
    assert from_cache_drop(CacheDrop(workspace_id=UUID(W), tags=("a",))) == Drop(W, frozenset({"a"}), False)
    assert from_cache_drop(CacheDrop(workspace_id=UUID(W))).ranged


@given(st.integers(0, 4_000_000_000_000))
def test_a_drop_names_the_very_millisecond_of_an_event(moment: int) -> None:
    """A closed range may begin at it: a millisecond less, and its answer would outlive the event."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
    event = EventsIngested(workspace_id=UUID(W), tables=("track",), rows=1, from_=at, to=at)
    drop = from_ingested(event)
    assert (drop.start, drop.end) == (moment, moment)
    assert drop.hits(CachePolicy(ttl=1, start=moment, end=moment + 1, closed=True))


TAGGED = CachePolicy(ttl=60, tags=("a",))
LINKED = CachePolicy(ttl=600, ttl_after_events=60, start=0, end=10, closed=True)
DROP = Drop(W, frozenset({"a"}), False)


def test_the_log_knows_what_came_after_an_epoch_and_nothing_else() -> None:
    log = DropLog()
    before = log.epoch
    log.add(DROP)
    assert log.left(before, W, TAGGED) == 0
    assert log.left(log.epoch, W, TAGGED) == 60
    assert log.left(before, "another", TAGGED) == 60
    assert log.left(before, W, CachePolicy(ttl=60)) == 60


def test_the_log_is_careful_about_what_it_forgot() -> None:
    log = DropLog(capacity=2)
    before = log.epoch
    for _ in range(3):
        log.add(Drop("another", frozenset({"a"}), False))
    assert log.left(before, W, TAGGED) == 0, "the forgotten drop may have been ours"
    assert log.left(before + 1, W, TAGGED) == 60
    middle = log.epoch
    log.gap()
    assert log.left(middle, W, TAGGED) == 0
    assert log.left(log.epoch, W, TAGGED) == 60


def test_events_of_any_time_shorten_what_shows_actors_and_those_that_touch_it_drop_it() -> None:
    elsewhere, touching = Drop(W, frozenset(), True, 10, 20), Drop(W, frozenset(), True, 9, 20)
    assert (elsewhere.leaves(LINKED), touching.leaves(LINKED), DROP.leaves(LINKED)) == (60, 0, 600)
    log = DropLog()
    lives = []
    for drop in (DROP, Drop("another", frozenset(), True), elsewhere, elsewhere, touching):
        log.add(drop)
        lives.append(log.left(0, W, LINKED))
    assert lives == [600, 600, 60, 60, 0]
    assert log.left(log.epoch - 1, W, CachePolicy(ttl=30, ttl_after_events=60, start=21, closed=True)) == 30


def test_memory_holds_its_limit_and_drops_the_least_recently_used() -> None:
    memory = Memory(20_000)
    for name in "abcdefghijklmnop":
        memory.put(key(name), entry(1_000))
        memory.get(key("a"), NOW)
    assert memory.bytes <= 20_000
    assert memory.evictions > 0
    assert memory.get(key("a"), NOW) is not None
    assert memory.get(key("b"), NOW) is None


def test_memory_drops_by_tag_what_has_it_in_that_workspace_and_keeps_no_trace() -> None:
    memory = Memory(1_000_000)
    for name, tags in {"a": ("x", "y"), "b": ("y",), "c": ("z",)}.items():
        kept = entry(100)
        kept.policy = CachePolicy(ttl=60, tags=tags)
        memory.put(key(name), kept)
    memory.drop(Drop("another", frozenset({"x", "y", "z"}), False), NOW)
    assert len(memory) == 3
    memory.drop(Drop(W, frozenset({"x", "unknown"}), False), NOW)
    assert [memory.get(key(name), NOW) is not None for name in "abc"] == [False, True, True]
    memory.drop(Drop(W, frozenset({"y", "z"}), False), NOW)
    assert (len(memory), memory.bytes) == (0, 0)
    assert not memory._tagged
    assert not memory._droppable


def test_memory_counts_aliases_and_compressed_variants() -> None:
    memory = Memory(1_000_000)
    kept = entry(5_000)
    memory.put(key("a"), kept)
    before = memory.bytes
    memory.alias(raw("body"), key("a"))
    assert memory.bytes > before
    before = memory.bytes
    asyncio.run(kept.gzipped())
    memory.find(raw("body"), NOW)
    assert memory.bytes > before
    memory.clear()
    assert memory.bytes == 0 and memory.find(raw("body"), NOW) is None


def test_many_spellings_of_one_request_cannot_fill_memory() -> None:
    memory = Memory(20_000)
    memory.put(key("a"), entry())
    for number in range(1_000):
        memory.alias(raw(str(number)), key("a"))
        memory.put(key("a"), entry()) if memory.get(key("a"), NOW) is None else None
    assert memory.bytes <= 20_000
    assert len(memory._aliases) < 100


def test_an_expired_entry_is_gone() -> None:
    memory = Memory(1_000_000)
    memory.put(key("a"), entry(ttl=5))
    assert memory.get(key("a"), NOW + 4.9) is not None
    assert memory.get(key("a"), NOW + 5) is None
    assert len(memory) == 0 and memory.bytes == 0


def test_an_entry_too_large_for_its_share_is_not_kept() -> None:
    memory = Memory(8_000)
    memory.put(key("a"), entry(2_000))
    assert len(memory) == 0


def test_memory_drops_by_tag_and_range_only_what_is_hit() -> None:
    memory = Memory(1_000_000)
    memory.put(key("tagged"), entry(policy=TAGGED))
    memory.put(key("closed"), entry(policy=CachePolicy(ttl=60, start=0, end=10, closed=True)))
    memory.put(key("open"), entry(policy=CachePolicy(ttl=60, start=0)))
    memory.drop(Drop(W, frozenset({"b"}), True, 10, 20), NOW)
    assert len(memory) == 3
    memory.drop(Drop(W, frozenset({"a"}), True, 9, 20), NOW)
    assert memory.get(key("open"), NOW) is not None
    assert len(memory) == 1


def test_memory_drops_a_hit_entry_of_a_machine_whose_clock_is_ahead() -> None:
    memory = Memory(1_000_000)
    memory.put(key("a"), entry(policy=TAGGED, stored_at=NOW + 30))
    memory.drop(DROP, NOW)
    assert len(memory) == 0


def test_memory_shortens_what_shows_actors_to_its_ordinary_life_from_when_it_was_made() -> None:
    memory = Memory(1_000_000)
    memory.put(key("old"), entry(policy=LINKED, ttl=600, stored_at=NOW - 60))
    memory.put(key("young"), entry(policy=LINKED, ttl=600, stored_at=NOW - 20))
    memory.drop(Drop(W, frozenset(), True, 10, 20), NOW)
    assert len(memory) == 1
    memory.drop(Drop(W, frozenset(), True, 10, 20), NOW + 30)
    assert memory.get(key("young"), NOW + 39) is not None
    assert memory.get(key("young"), NOW + 40) is None


def test_entries_of_redis_are_trusted_by_when_they_were_stored() -> None:
    trust = Trust(Memory(1_000), DropLog())
    closed = CachePolicy(ttl=600, closed=True)
    assert not trust.accepts(entry(policy=TAGGED), NOW, 60), "nothing is heard yet"
    assert trust.accepts(entry(policy=CachePolicy(ttl=60)), NOW, 60), "open ranges need no drops"
    assert trust.accepts(entry(policy=closed, ttl=600), NOW + 59, 60)
    assert not trust.accepts(entry(policy=closed, ttl=600), NOW + 61, 60)
    trust.heard()
    assert not trust.accepts(entry(policy=TAGGED), NOW, 60), "it may have missed its drop"


def test_keys_tell_requests_apart_and_spellings_not() -> None:
    operation = OPERATIONS[0]

    def canonical(body: bytes, format_: str = "json", workspace: str = W) -> CanonicalKey:
        return canonical_key(workspace, operation, format_, decode_request(body, operation.request))  # type: ignore[arg-type]

    one = canonical(b'{"order":"newest","names":[]}')
    assert one == canonical(b"{}") == canonical(b'{ "order": "newest" }')
    assert len({one, canonical(b'{"limit":1}'), canonical(b"{}", "csv"), canonical(b"{}", "json", "other")}) == 4
    long = b'{"names":["' + b"a" * 5_000 + b'"]}'
    assert len(raw_key(W, operation, "json", long).body) == 16
    assert raw_key(W, operation, "json", long) != raw_key(W, operation, "json", long + b" ")


def test_an_entry_survives_redis_and_odd_bytes_do_not() -> None:
    kept = entry(policy=TAGGED, stored_at=time.time())
    loaded = Entry.load(kept.dump(), 61)
    assert loaded is not None
    assert (loaded.body, loaded.etag, loaded.policy, loaded.ttl) == (kept.body, kept.etag, TAGGED, 60)
    assert Entry.load(b"odd", 60) is None


def test_an_entry_holds_no_longer_than_redis_would_keep_it() -> None:
    kept = entry(policy=LINKED, ttl=600, stored_at=time.time() - 20)
    loaded = Entry.load(kept.dump(), 40)
    assert loaded is not None and loaded.ttl == pytest.approx(60, abs=5)


async def test_the_compressed_variant_is_made_once() -> None:
    kept = entry(5_000)
    first = await kept.gzipped()
    assert first is not None and gzip.decompress(first) == kept.body
    assert await kept.gzipped() is first
    assert await entry(100).gzipped() is None


async def test_a_flight_nobody_waits_for_is_stopped_and_its_late_result_handed_back() -> None:
    handed_back: list[str] = []

    async def abandoned(result: str) -> None:
        handed_back.append(result)

    flights: Flights[str] = Flights(abandoned)
    stopped = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return "never"

    waiters = [asyncio.create_task(flights.join("k", work)) for _ in range(3)]
    await asyncio.sleep(0.01)
    for waiter in waiters:
        assert not stopped.is_set()
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        await asyncio.sleep(0)
    await asyncio.wait_for(stopped.wait(), 10)
    assert len(flights) == 0

    async def quick() -> str:
        return "late"

    waiter = asyncio.create_task(flights.join("k", quick))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert handed_back in ([], ["late"])


async def test_a_detached_flight_serves_its_waiters_and_no_new_ones() -> None:
    async def abandoned(_: int) -> None: ...

    flights: Flights[int] = Flights(abandoned)
    numbers = iter(range(10))
    gate = asyncio.Event()

    async def work() -> int:
        number = next(numbers)
        await gate.wait()
        return number

    first = asyncio.create_task(flights.join("k", work))
    await asyncio.sleep(0.01)
    flights.detach(lambda key: key == "k")
    second = asyncio.create_task(flights.join("k", work))
    await asyncio.sleep(0.01)
    gate.set()
    assert (await first, await second) == (0, 1)
    assert len(flights) == 0


async def test_a_failing_flight_fails_all_and_leaves_nothing() -> None:
    async def abandoned(_: int) -> None: ...

    flights: Flights[int] = Flights(abandoned)

    async def work() -> int:
        await asyncio.sleep(0.01)
        raise ValueError("no")

    results = await asyncio.gather(*(flights.join("k", work) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["no"] * 3
    assert "k" not in flights
    with pytest.raises(ValueError, match="no"):
        await flights.join("k", work)
