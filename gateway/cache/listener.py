"""Hears of drops on core NATS and passes them to both levels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts import subjects
from contracts.base import decode
from contracts.caching import CacheDrop
from contracts.durable import EventsIngested
from contracts.errors import InvalidRequest
from gateway.cache.drops import Drop, from_cache_drop, from_ingested
from gateway.cache.remote import Remote
from gateway.cache.trust import Trust
from services.kit.lifecycle import synchronize

SUBJECTS = (subjects.CACHE_DROP, subjects.INGESTED)


class Listener:
    """Drops take effect in memory as they arrive; Redis follows in the background, in order, so that a slow Redis
    never delays hearing."""

    def __init__(self, trust: Trust, remote: Remote, *, detach: Callable[[str], None]):
        """`detach(workspace)` keeps new requests from joining computations begun before a drop by tag."""
        self._trust = trust
        self._remote = remote
        self._detach = detach
        self._queue: asyncio.Queue[Drop | asyncio.Future[None]] = asyncio.Queue()
        self._busy = False
        self._worker: asyncio.Task[None] | None = None
        self.ignored = 0
        """Messages that were not understood, since the start."""

    def start(self) -> None:
        """Begin to carry drops out in Redis."""
        self._worker = asyncio.create_task(self._work(), name="cache-drops")

    async def attach(self, connection: Client) -> None:
        """Subscribe; the subscriptions survive reconnections of `connection`."""
        self._trust.deaf()
        for subject, callback in zip(SUBJECTS, (self._on_drop, self._on_ingested), strict=True):
            await connection.subscribe(subject, cb=callback)
        await synchronize(connection)
        self._trust.heard()

    async def close(self) -> None:
        """Stop the background work. Subscriptions end with their connection."""
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker

    def drop(self, drop: Drop) -> None:
        """Drop from both levels."""
        self._trust.dropped(drop)
        if drop.tags:
            self._detach(drop.workspace)
        self._queue.put_nowait(drop)

    async def settled(self) -> None:
        """Wait until Redis has carried out what was heard so far: what it gives after that was not dropped before."""
        if self._busy or not self._queue.empty():
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.put_nowait(reached)
            await reached

    async def _on_drop(self, message: Msg) -> None:
        try:
            self.drop(from_cache_drop(decode(message.data, CacheDrop)))
        except InvalidRequest:
            self._not_understood()

    async def _on_ingested(self, message: Msg) -> None:
        try:
            self.drop(from_ingested(decode(message.data, EventsIngested)))
        except InvalidRequest:
            self._not_understood()

    def _not_understood(self) -> None:
        # A newer publisher may say more than this process knows: then nothing kept can be relied on.
        self.ignored += 1
        self._trust.missed()

    async def _work(self) -> None:
        while True:
            item = await self._queue.get()
            self._busy = True
            if isinstance(item, Drop):
                await self._remote.drop(item)
            elif not item.done():
                item.set_result(None)
            self._busy = not self._queue.empty()
