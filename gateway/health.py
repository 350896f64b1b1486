"""Is this process alive, can it answer, and what are its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from contracts.base import encode
from gateway.bus import Bus
from gateway.cache.remote import Remote
from gateway.exchange import Exchange
from gateway.metrics import HttpMetrics
from gateway.responses import page
from gateway.routes import Answerer
from services.kit.health import ReplicaHealth, ask_fleet

_NO_STORE = {"Cache-Control": "no-store"}


def health_pages(bus: Bus, remote: Remote, metrics: HttpMetrics, services: Iterable[str]) -> Mapping[str, Answerer]:
    """Return the answers, by path. `services`: those that must be there for this gateway to be ready."""
    needed = frozenset(services)

    async def health(exchange: Exchange) -> web.Response:
        return page(exchange, encode({"status": "ok"}), "application/json", extra=_NO_STORE)

    async def ready(exchange: Exchange) -> web.Response:
        replicas: list[ReplicaHealth] = []
        if bus.connection is not None and bus.connected:
            replicas = await ask_fleet(bus.connection, expected=needed)
            if not _all_ready(replicas, needed):
                # The first to answer may be the one replica that is not ready: wait for the others.
                replicas = await ask_fleet(bus.connection)
        report = describe(replicas, needed, nats=bus.connected, redis=remote.guard.up)
        status = 200 if report["ready"] else 503
        extra = _NO_STORE if status == 200 else {**_NO_STORE, "Retry-After": "1"}
        return page(exchange, encode(report), "application/json", status=status, extra=extra)

    async def numbers(exchange: Exchange) -> web.Response:
        return page(exchange, metrics.text(), "text/plain; version=0.0.4; charset=utf-8", extra=_NO_STORE)

    return {"/health": health, "/ready": ready, "/metrics": numbers}


def describe(replicas: list[ReplicaHealth], needed: frozenset[str], *, nats: bool, redis: bool) -> dict[str, Any]:
    """Return the body of `/ready`: `ready` when NATS is there and each needed service has a replica that is ready.

    Redis is not needed: without it answers are computed more often.
    """
    services = {
        name: {
            "ready": name in _ready(replicas),
            "replicas": [replica for replica in replicas if replica.service == name],
        }
        for name in sorted(needed | {replica.service for replica in replicas})
    }
    return {
        "ready": nats and _all_ready(replicas, needed),
        "nats": {"ready": nats, "needed": True},
        "redis": {"ready": redis, "needed": False},
        "services": services,
    }


def _ready(replicas: list[ReplicaHealth]) -> set[str]:
    return {replica.service for replica in replicas if replica.ready}


def _all_ready(replicas: list[ReplicaHealth], needed: frozenset[str]) -> bool:
    return needed <= _ready(replicas)
