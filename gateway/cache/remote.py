"""The second level: Redis, shared by all gateways. Its loss costs time, never an answer.

Keys of a workspace carry the hash tag `{workspace}`, so that a cluster keeps them on one node:

    cdp:cache:{w}:<digest>     the entry
    cdp:lease:{w}:<digest>     who computes it now
    cdp:closed:{w}             sorted set of entries whose range is closed, by the range's end
    cdp:linked:{w}             sorted set of entries that live shorter once events arrive, by when that life ends
    cdp:tag:{w}:<tag>          sorted set of entries with the tag, by when they expire
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from gateway.cache.drops import Drop
from gateway.cache.entry import Entry
from gateway.cache.keys import CanonicalKey
from gateway.cache.redis import Commands, Guard, Part

_PENDING = 10_000
"""Drops kept for Redis while it is away. When more come, all droppable entries are forgotten instead."""
_AT_ONCE = 500
"""Tags looked up in one round trip: one message may name thousands of profiles."""
_SAMPLE = 4
"""Members of the index looked at on each store, to forget expired ones: an index is never far above what it indexes."""


def entry_name(key: CanonicalKey) -> str:
    """Return the Redis key of an entry."""
    return f"cdp:cache:{{{key.workspace}}}:{key.digest}"


def lease_name(key: CanonicalKey) -> str:
    """Return the Redis key of the lease on an entry."""
    return f"cdp:lease:{{{key.workspace}}}:{key.digest}"


def _closed_name(workspace: str) -> str:
    return f"cdp:closed:{{{workspace}}}"


def _linked_name(workspace: str) -> str:
    return f"cdp:linked:{{{workspace}}}"


def _tag_name(workspace: str, tag: str) -> str:
    return f"cdp:tag:{{{workspace}}}:{tag}"


class Remote:
    """Entries in Redis. No method raises for Redis; `guard.up` says whether it is there."""

    def __init__(self, url: str, *, longest_ttl: int):
        """`longest_ttl`: the most seconds an entry lives, so the indexes live as long."""
        self.guard = Guard(url, recovering=self._catch_up)
        self._longest_ttl = max(1, longest_ttl)
        self._pending: deque[Drop] = deque()
        self._overflowed: set[str] = set()

    async def get(self, key: CanonicalKey) -> Entry | None:
        """Return the entry, if Redis has it and answers."""
        look = (("GET", entry_name(key)), ("PTTL", entry_name(key)))
        missing: list[Any] = [None, 0]
        data, milliseconds = await self.guard.run(lambda redis: redis.transaction(look), missing)
        return None if data is None else Entry.load(data, milliseconds / 1000)

    async def put(self, key: CanonicalKey, entry: Entry) -> None:
        """Keep an entry for its time to live, findable by what could drop it."""
        await self.guard.run(lambda redis: self._put(redis, key, entry), None)

    async def forget(self, key: CanonicalKey) -> None:
        """Delete one entry."""
        await self.guard.run(lambda redis: redis.run("UNLINK", entry_name(key)), 0)

    async def drop(self, drop: Drop) -> None:
        """Delete what the drop hits, and shorten the life of what it leaves for less. While Redis is away it is
        remembered, and done before Redis is used again."""
        if not await self.guard.run(lambda redis: _drop(redis, drop), False):
            if len(self._pending) >= _PENDING:
                self._overflowed.update(pending.workspace for pending in self._pending)
                self._pending.clear()
            self._pending.append(drop)

    async def _put(self, redis: Commands, key: CanonicalKey, entry: Entry) -> None:
        assert entry.policy is not None
        name, policy = entry_name(key), entry.policy
        expires = int(entry.stored_at + entry.ttl)
        closed = _closed_name(key.workspace)
        commands: list[tuple[Part, ...]] = []
        if policy.closed:
            score = "+inf" if policy.end is None else policy.end
            commands.append(("ZADD", closed, score, _member(policy.start, expires, name)))
            commands.append(("EXPIRE", closed, self._longest_ttl))
        if policy.ttl_after_events is not None and policy.ttl_after_events < entry.ttl:
            linked = _linked_name(key.workspace)
            ends = _milliseconds(entry.stored_at + policy.ttl_after_events)
            commands.append(("ZREMRANGEBYSCORE", linked, "-inf", _milliseconds(time.time() - self._longest_ttl)))
            commands.append(("ZADD", linked, ends, f"{ends}|{name}"))
            commands.append(("EXPIRE", linked, self._longest_ttl))
        for tag in policy.tags:
            tagged = _tag_name(key.workspace, tag)
            commands.append(("ZREMRANGEBYSCORE", tagged, "-inf", time.time()))
            commands.append(("ZADD", tagged, expires, name))
            commands.append(("EXPIRE", tagged, self._longest_ttl))
        commands.append(("SET", name, entry.dump(), "PX", _milliseconds(entry.ttl)))
        if policy.closed:
            commands.append(("ZRANDMEMBER", closed, _SAMPLE))
        results = await redis.transaction(commands)
        if policy.closed:
            outdated = [member for member in results[-1] if _expires(member) < time.time()]
            if outdated:
                await redis.run("ZREM", closed, *outdated)

    async def _catch_up(self, redis: Commands) -> None:
        while self._overflowed:
            workspace = next(iter(self._overflowed))
            await _drop_all(redis, workspace)
            self._overflowed.discard(workspace)
        while self._pending:
            await _drop(redis, self._pending[0])
            self._pending.popleft()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _member(start: int | None, expires: int, name: str) -> str:
    return f"{'' if start is None else start}|{expires}|{name}"


def _start(member: bytes) -> float:
    start = member.split(b"|", 1)[0]
    return int(start) if start else float("-inf")


def _expires(member: bytes) -> int:
    return int(member.split(b"|", 2)[1])


async def _drop(redis: Commands, drop: Drop) -> bool:
    # The index first, then the entries: one stored in between is lost with its index or kept with it, never kept alone.
    run = redis.run
    doomed: list[bytes] = []
    tags = [_tag_name(drop.workspace, tag) for tag in drop.tags]
    for start in range(0, len(tags), _AT_ONCE):
        part = tags[start : start + _AT_ONCE]
        found = await redis.transaction([("ZRANGE", tagged, 0, -1) for tagged in part])
        members = [(tagged, names) for tagged, names in zip(part, found, strict=True) if names]
        if members:
            await redis.transaction([("ZREM", tagged, *names) for tagged, names in members])
            doomed += [name for _, names in members for name in names]
    if drop.ranged:
        closed = _closed_name(drop.workspace)
        lower = "-inf" if drop.start is None else f"({drop.start}"
        members = await run("ZRANGE", closed, lower, "+inf", "BYSCORE")
        touched = [member for member in members if drop.end is None or _start(member) <= drop.end]
        if touched:
            await run("ZREM", closed, *touched)
            doomed += [member.split(b"|", 2)[2] for member in touched]
    if doomed:
        await run("UNLINK", *doomed)
    if drop.ranged:
        await _shorten(redis, drop.workspace)
    return True


async def _shorten(redis: Commands, workspace: str) -> None:
    # Whoever reads an entry asks how long Redis will keep it. Once shortened it need not be found again.
    linked = _linked_name(workspace)
    members = await redis.run("ZRANGE", linked, 0, -1)
    if members:
        ends = dict(reversed(member.split(b"|", 1)) for member in members)  # of an entry stored twice, the later one's
        shortened = [("PEXPIREAT", name, int(end)) for name, end in ends.items()]
        await redis.transaction([*shortened, ("ZREM", linked, *members)])


async def _drop_all(redis: Commands, workspace: str) -> None:
    # Deletes open ranges too: simpler than reading every entry, and rare.
    cursor: bytes | int = 0
    while True:
        cursor, names = await redis.run("SCAN", cursor, "MATCH", f"cdp:cache:{{{workspace}}}:*", "COUNT", 1_000)
        if names:
            await redis.run("UNLINK", *names)
        if int(cursor) == 0:
            return
