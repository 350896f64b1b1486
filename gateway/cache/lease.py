"""Who computes an answer, agreed among gateways: a short lease in Redis, renewed while its holder lives."""

from __future__ import annotations

import asyncio
import secrets

from gateway.cache.entry import Entry
from gateway.cache.keys import CanonicalKey
from gateway.cache.redis import Commands
from gateway.cache.remote import Remote, entry_name, lease_name

LEASE_MILLISECONDS = 3_000
"""A holder that died blocks the others for no longer."""
_RENEW_SECONDS = 1.0
_POLL_SECONDS = (0.01, 0.02, 0.05, 0.1)
"""The last one repeats."""

_BEGIN = """
local entry = redis.call('GET', KEYS[1])
if entry then return {entry, redis.call('PTTL', KEYS[1])} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""
# Only its holder may renew or give up a lease: another gateway may hold it by now.
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lease:
    """The right to compute one entry for all gateways. Without Redis every gateway computes for itself."""

    def __init__(self, remote: Remote, key: CanonicalKey):
        self._remote = remote
        self._entry = entry_name(key)
        self._name = lease_name(key)
        self._token = secrets.token_hex(8)
        self._renewing: asyncio.Task[None] | None = None
        self.held = False
        """Whether this gateway is the one that computes."""

    async def begin(self) -> Entry | None:
        """Return the entry if it is there; otherwise try to take the lease. One round trip."""
        result = await self._remote.guard.run(
            lambda redis: redis.run("EVAL", _BEGIN, 2, self._entry, self._name, self._token, LEASE_MILLISECONDS),
            1,
        )
        if isinstance(result, list):
            body, milliseconds = result
            return Entry.load(body, milliseconds / 1000)
        self.held = result == 1
        if self.held:
            self._renewing = asyncio.create_task(self._renew(), name="lease")
        return None

    async def release(self) -> None:
        """Give the lease up; nothing happens when it is not held."""
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
            await self._remote.guard.run(lambda redis: self._run(redis, _RELEASE), 0)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self._remote.guard.run(lambda redis: self._run(redis, _RENEW, LEASE_MILLISECONDS), 0)

    async def _run(self, redis: Commands, script: str, *arguments: int) -> int:
        result: int = await redis.run("EVAL", script, 1, self._name, self._token, *arguments)
        return result


async def wait_for(remote: Remote, key: CanonicalKey) -> Entry | None:
    """Wait until the lease's holder has stored its answer and return it, or null once the lease is gone without one.

    Cancel to stop waiting (the caller's deadline).
    """
    tries = 0
    while True:
        entry = await remote.get(key)
        if entry is not None:
            return entry
        if not await remote.guard.run(lambda redis: redis.run("EXISTS", lease_name(key)), 0):
            # The holder stores before it gives the lease up, and may have done both since the look above.
            return await remote.get(key)
        await asyncio.sleep(_POLL_SECONDS[min(tries, len(_POLL_SECONDS) - 1)])
        tries += 1
