"""The parts of a gateway, put together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from contracts.operation import Operation
from contracts.operations import OPERATIONS
from gateway.access import AccessLog
from gateway.answers import Answers, detach, new_flights
from gateway.bus import Bus
from gateway.cache.drops import DropLog
from gateway.cache.listener import Listener
from gateway.cache.memory import Memory
from gateway.cache.remote import Remote
from gateway.cache.trust import Trust
from gateway.cors import Cors
from gateway.endpoint import Endpoint
from gateway.health import health_pages
from gateway.metrics import CacheFacts, HttpMetrics
from gateway.pages import document_pages
from gateway.routes import Route, Routes
from gateway.serving import Serving
from services.kit.settings import Settings


class Gateway:
    """One gateway: `serving` answers requests between `start` and `close`. Make it in the event loop it runs in."""

    def __init__(self, settings: Settings, instance: str, operations: Sequence[Operation] = OPERATIONS):
        longest_ttl = max(
            settings.cache_ttl_query_seconds, settings.cache_ttl_profile_seconds, settings.cache_ttl_closed_seconds
        )
        flights = new_flights()
        self.memory = Memory(settings.cache_memory_bytes)
        self.trust = Trust(self.memory, DropLog())
        self.remote = Remote(settings.redis_url, longest_ttl=longest_ttl)
        self.listener = Listener(self.trust, self.remote, detach=partial(detach, flights))
        self.bus = Bus(settings, f"cdp-gateway-{instance}", self.trust, self.listener)
        self.answers = Answers(self.bus, flights, self.memory, self.remote, self.trust, self.listener.settled, settings)
        self.metrics = HttpMetrics(
            CacheFacts(
                bytes=lambda: self.memory.bytes,
                entries=lambda: len(self.memory),
                evictions=lambda: self.memory.evictions,
                redis_up=lambda: self.remote.guard.up,
                redis_failures=lambda: self.remote.guard.failures,
                flights=lambda: len(flights),
            )
        )
        self.access = AccessLog(instance)
        cors = Cors(settings.cors_origins)
        routes = Routes(cors)
        for operation in operations:
            endpoint = Endpoint(operation, self.answers, self.memory, self.trust, self.metrics, settings)
            routes.add(operation.method, operation.path, Route(operation.id, endpoint))
        services = {operation.service for operation in operations}
        pages = {**document_pages(operations), **health_pages(self.bus, self.remote, self.metrics, services)}
        for path, answerer in pages.items():
            routes.add("GET", path, Route(path, answerer, logging.DEBUG))
        self.serving = Serving(routes, cors, self.metrics, self.access)

    async def start(self) -> None:
        """Begin to look for NATS and Redis. Returns at once: HTTP is served, with 503, before they are there."""
        self.remote.guard.start()
        self.listener.start()
        self.bus.start()

    async def close(self) -> None:
        """Let go of everything, after the last request."""
        await self.answers.close()
        await self.listener.close()
        await self.bus.close()
        await self.remote.guard.close()
        self.access.flush()
