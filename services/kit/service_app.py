"""The FastStream application of a service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import nats.errors
from faststream import AckPolicy, FastStream
from faststream.nats import NatsBroker

from contracts.operation import Operation
from services.kit import telemetry
from services.kit.health import Reporter
from services.kit.lifecycle import (
    DRAIN_SECONDS,
    ConnectionLog,
    close_quietly,
    connect_options,
    drain_subscribers,
    synchronize,
)
from services.kit.logs import log
from services.kit.micro import MicroService
from services.kit.service_calls import Calls
from services.kit.service_request import Received, RequestCodec
from services.kit.service_types import Handler, Service
from services.kit.settings import Settings

_PENDING_MESSAGES = 1024
"""Messages of one operation waiting in the client for our own admission, which takes microseconds each."""


class ServiceApp:
    """One process of a service: its broker, its calls, its life."""

    def __init__(self, service: Service, settings: Settings, instance: str):
        self.service = service
        self.settings = settings
        self.instance = instance
        self.metrics = service.metrics
        self.calls = Calls(service, settings, self.metrics, instance)
        self.reporter = Reporter(service.name, instance, service.checks, self.metrics, service.optional)
        self.micro = MicroService(service, instance, self.calls.stats)
        self._beat: asyncio.Task[None] | None = None
        self._stopping = False
        self._watch = watch = ConnectionLog(on_disconnect=lambda: self.metrics.count("cdp_nats_disconnects_total"))
        self.broker = NatsBroker(
            **connect_options(settings, f"cdp-{service.name}-{instance}"),
            error_cb=watch.error,
            disconnected_cb=watch.disconnected,
            reconnected_cb=watch.reconnected,
            closed_cb=self._closed,
            apply_types=False,  # nothing is injected: the codec makes the request, a closure has the rest
            serializer=None,
            logger=None,
            graceful_timeout=DRAIN_SECONDS,
        )
        for operation in service.operations:
            codec = RequestCodec(operation)
            subscriber = self.broker.subscriber(
                operation.subject,
                queue=service.name,
                parser=codec.parse,
                codec=codec,
                pending_msgs_limit=_PENDING_MESSAGES,
                ack_policy=AckPolicy.MANUAL,  # core NATS: there is nothing to acknowledge
                no_reply=True,  # replies may be several, and too large for one: service_reply sends them
            )
            subscriber(self._consumer(operation, service.handlers[operation.name]))
        self.app = FastStream(
            self.broker,
            serializer=None,
            logger=None,
            lifespan=self._lifespan,
            on_startup=[self._connect],
            after_startup=[self._started],
            on_shutdown=[self._drain],
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        async with self._leaving_nats():
            await self.app.run()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs, without touching the process's signals."""
        async with self._lifespan():
            await self.app.start()
            try:
                yield
            finally:
                async with self._leaving_nats():
                    await self.app.stop()

    @asynccontextmanager
    async def _leaving_nats(self) -> AsyncIterator[None]:
        try:
            yield
        except (nats.errors.ConnectionReconnectingError, nats.errors.ConnectionClosedError):
            # FastStream's stop ends with a drain of the connection, which nats-py refuses while it is down.
            log(logging.WARNING, "left without NATS")
            if self._watch.connection is not None:
                await close_quietly(self._watch.connection.close)

    def _consumer(self, operation: Operation, handler: Handler) -> Callable[[Any], Awaitable[None]]:
        async def consume(received: Received) -> None:
            # Returns at once: a FastStream subscriber works on one message at a time, and its own worker pool neither
            # answers what it drops nor shares its limit between operations.
            self.calls.accept(operation, handler, received)

        return consume

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        telemetry.configure(self.settings.otlp_endpoint, self.service.name, self.instance)
        async with AsyncExitStack() as stack:
            if self.service.lifespan is not None:
                await stack.enter_async_context(self.service.lifespan())
            yield
        await asyncio.to_thread(telemetry.shutdown)  # sends what is left, blocking

    async def _connect(self) -> None:
        connection = self._watch.connection = await self.broker.connect()
        await self.calls.start(connection)
        self._beat = asyncio.create_task(self.calls.beat(), name="beat")

    async def _started(self) -> None:
        connection = self.broker.connection
        await self.reporter.start(connection)
        await self.micro.start(connection)
        await synchronize(connection)  # now the server knows all subscriptions, and has refused those it refuses
        if self._watch.refused:
            raise PermissionError("NATS refuses a subscription: " + "; ".join(self._watch.refused))
        log(logging.INFO, "serving", operations=[operation.id for operation in self.service.operations])

    async def _drain(self) -> None:
        self._stopping = True
        log(logging.INFO, "draining")
        if self._watch.connection is None:
            return  # NATS never came
        await drain_subscribers(self.broker, self._watch.connection)
        await self.calls.finish(DRAIN_SECONDS)
        if self._beat is not None:
            self._beat.cancel()

    async def _closed(self) -> None:
        if not self._stopping:
            log(logging.ERROR, "NATS closed the connection for good, leaving")
            self.app.exit()
