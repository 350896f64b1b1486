"""Connecting to NATS so that it survives restarts, and leaving so that nothing is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import nats.errors
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.nuid import NUID

from services.kit.logs import log
from services.kit.settings import Settings

DRAIN_SECONDS = 10.0
"""How long a stopping process waits for the requests it has taken; keep below the supervisor's grace period."""


def instance_id() -> str:
    """Return a fresh id for this process, unique and usable as a subject token."""
    return NUID().next().decode()


def connect_options(settings: Settings, name: str) -> dict[str, Any]:
    """Return the options every connection of ours is made with: reconnect for ever and quickly, notice a dead server
    within seconds (the defaults of nats-py give up after 60 tries and notice after four minutes)."""
    return {
        "servers": settings.nats_url.split(","),
        "name": name,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "connect_timeout": 2,
        "ping_interval": 2,
        "max_outstanding_pings": 2,
        "drain_timeout": int(DRAIN_SECONDS) + 2,
    }


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when they have ended, whichever way.

    Once is not enough: `asyncio.wait_for` of Python 3.11, which nats-py waits with, loses a cancellation that comes in
    the same turn of the loop as the result (https://github.com/python/cpython/issues/86296).
    """
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=1)


class ConnectionLog:
    """Logs what happens to a connection, once a change, not once a try."""

    def __init__(self, on_disconnect: Callable[[], None] | None = None):
        self._down = False
        self._on_disconnect = on_disconnect
        self.connection: Client | None = None
        self.refused: list[str] = []
        """Permission violations: NATS reports them here only, the call that caused one succeeds."""

    async def error(self, error: Exception) -> None:
        """For `error_cb`."""
        if isinstance(error, nats.errors.SlowConsumerError):
            log(logging.ERROR, "messages dropped: a subscription is full", subject=str(error.subject))
        elif isinstance(error, OSError | nats.errors.NoServersError | nats.errors.UnexpectedEOF):
            if not self._down:
                log(logging.WARNING, "NATS cannot be reached, trying on", reason=type(error).__name__)
            self._down = True
        else:
            reason = str(error) or type(error).__name__
            if "permissions violation" in reason.lower():
                self.refused.append(reason)
            log(logging.ERROR, "NATS reported an error", reason=reason)

    async def disconnected(self) -> None:
        """For `disconnected_cb`, which nats-py calls for a wanted close as well."""
        if self.connection is not None and self.connection.is_closed:
            return
        self._down = True
        log(logging.WARNING, "connection to NATS lost")
        if self._on_disconnect is not None:
            self._on_disconnect()

    async def reconnected(self) -> None:
        """For `reconnected_cb`."""
        self._down = False
        log(logging.INFO, "connected to NATS again")


async def connect(settings: Settings, name: str) -> Client:
    """Connect, waiting for NATS to be there; the connection then mends itself. For processes without FastStream."""
    watch = ConnectionLog()
    watch.connection = Client()
    await watch.connection.connect(
        **connect_options(settings, name),
        error_cb=watch.error,
        disconnected_cb=watch.disconnected,
        reconnected_cb=watch.reconnected,
    )
    return watch.connection


async def drain_subscribers(broker: NatsBroker, connection: Client) -> None:
    """Take no more requests, handing the ones already delivered to their handlers. Loses none.

    The only place that reaches into FastStream: its own `stop` unsubscribes at once and drops what is queued, which
    costs a few requests at every restart under load. A drained subscription is taken away from its subscriber, which
    would fail in `stop` on trying to unsubscribe it again.
    """
    subscribers: list[Any] = [found for found in broker.subscribers if getattr(found, "subscription", None)]
    try:
        await _drain(connection, [subscriber.subscription for subscriber in subscribers])
    except nats.errors.Error as error:
        log(logging.WARNING, "could not drain, NATS is away", reason=type(error).__name__)
        return
    for subscriber in subscribers:
        subscriber.subscription = None


async def _drain(connection: Client, subscriptions: list[Subscription]) -> None:
    """Do what `Subscription.drain` of nats-py means to do, but for what `synchronize` says."""
    if not connection.is_connected:
        raise nats.errors.ConnectionReconnectingError
    for subscription in subscriptions:
        await connection._send_unsubscribe(subscription._id)
    await synchronize(connection)  # the server has seen the UNSUBs: all it sent before is in our queues
    for subscription in subscriptions:
        await subscription._pending_queue.join()
        await subscription.unsubscribe()


async def synchronize(connection: Client) -> None:
    """Return when the server has seen everything sent so far: subscriptions count, refusals have been reported.

    `Client.flush` of nats-py alone does not do: it writes its PING straight to the socket while what was sent before
    may still wait in the client's buffer, so the PONG proves nothing. Here the buffer is written first.
    """
    await connection._flush_pending(force_flush=True)
    await connection.flush()


async def close_quietly(close: Callable[[], Awaitable[None]]) -> None:
    """Close something of NATS at exit, when the connection may be gone already."""
    try:
        await close()
    except (nats.errors.Error, OSError, anyio.ClosedResourceError) as error:
        log(logging.INFO, "closed without NATS", reason=type(error).__name__)
