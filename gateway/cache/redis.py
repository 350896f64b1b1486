"""A Redis client that costs nothing while Redis is away: the first failure closes the way to it, a probe opens it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.kit.logs import log

T = TypeVar("T")
Part: TypeAlias = str | bytes | int | float

TIMEOUT_SECONDS = 0.5
"""For connecting and for each answer: above what a loaded Redis needs, below what a caller notices."""
_PROBE_SECONDS = 0.5
_CONNECTIONS = 32


class Commands:
    """Redis' own commands, spelled as in its documentation."""

    def __init__(self, client: Redis):
        self._client = client

    async def run(self, *command: Part) -> Any:
        """Send one command and return its reply."""
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def transaction(self, commands: Iterable[tuple[Part, ...]]) -> list[Any]:
        """Send commands that take effect together (MULTI) and return their replies."""
        async with self._client.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute()


class Guard:
    """Runs commands while Redis answers; otherwise says so at once. `up` is what `/ready` shows."""

    def __init__(self, url: str, *, recovering: Callable[[Commands], Awaitable[None]]):
        """`recovering` runs before commands may run again after an outage; it may raise as commands do."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis(connection_pool=pool)
        self._commands = Commands(self._client)
        self._recovering = recovering
        self._probe: asyncio.Task[None] | None = None
        self._closed = False
        self.up = False
        self.failures = 0
        """Commands that failed, since the start."""

    def start(self) -> None:
        """Begin to look for Redis in the background."""
        self._lost()

    async def close(self) -> None:
        """Stop looking and close the connections."""
        self._closed = True
        self.up = False
        if self._probe is not None:
            self._probe.cancel()
            with suppress(asyncio.CancelledError):
                await self._probe
        with suppress(RedisError, OSError):
            await self._client.aclose(close_connection_pool=True)

    async def run(self, command: Callable[[Commands], Awaitable[T]], otherwise: T) -> T:
        """Return what the command returns, or `otherwise` when Redis is away or fails. Never raises for Redis."""
        if not self.up:
            return otherwise
        try:
            return await command(self._commands)
        except (RedisError, OSError, TimeoutError) as error:
            self.failures += 1
            if self.up:
                log(logging.WARNING, "redis is away", reason=type(error).__name__)
            self._lost()
            return otherwise

    def _lost(self) -> None:
        self.up = False
        if not self._closed and (self._probe is None or self._probe.done()):
            self._probe = asyncio.create_task(self._recover(), name="redis-probe")

    async def _recover(self) -> None:
        while True:
            try:
                await self._commands.run("PING")
                await self._recovering(self._commands)
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(_PROBE_SECONDS)
            else:
                self.up = True
                log(logging.INFO, "redis is there")
                return
