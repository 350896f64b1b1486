"""One HTTP endpoint for health and metrics of all service processes, found over NATS."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable

from aiohttp import web
from nats.aio.client import Client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from contracts.base import encode
from services.kit import logs
from services.kit.health import ReplicaHealth, ReplicaMetrics, ask_fleet, gather_metrics
from services.kit.lifecycle import close_quietly, connect, instance_id
from services.kit.settings import Settings

_CONNECTION: web.AppKey[Client] = web.AppKey("connection", Client)


def run_fleet(settings: Settings) -> None:
    """Serve `/metrics`, `/health` and `/ready` on the workers' port until SIGTERM or SIGINT."""
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    instance = instance_id()
    logs.configure(settings.log_level, "fleet", instance)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connecting = asyncio.create_task(connect(settings, f"cdp-fleet-{instance}"))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((connecting, stopped), return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        connecting.cancel()
        return
    connection = connecting.result()
    runner = web.AppRunner(fleet_app(connection), access_log=None)
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.api_host, settings.workers_port).start()
        logs.log(logging.INFO, "serving", port=settings.workers_port)
        await stop.wait()
    finally:
        await runner.cleanup()
        await close_quietly(connection.close)


def fleet_app(connection: Client) -> web.Application:
    """Return the HTTP application."""
    app = web.Application()
    app[_CONNECTION] = connection
    app.add_routes([web.get("/health", _health), web.get("/ready", _ready), web.get("/metrics", _metrics)])
    return app


async def _health(request: web.Request) -> web.Response:
    """This process answers."""
    return _json({"status": "ok"}, 200)


async def _ready(request: web.Request) -> web.Response:
    """Every replica with the state of its dependencies: 200 when there are some and all are ready, else 503."""
    connection = request.app[_CONNECTION]
    replicas = await ask_fleet(connection)
    return _json(
        {"ready": is_ready(replicas), "nats": connection.is_connected, "replicas": replicas},
        200 if is_ready(replicas) else 503,
    )


async def _metrics(request: web.Request) -> web.Response:
    text = merge_metrics(await gather_metrics(request.app[_CONNECTION]))
    return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def is_ready(replicas: Iterable[ReplicaHealth]) -> bool:
    """Whether every service seen has a replica that is ready, and at least one service is seen."""
    seen = list(replicas)
    ready = {replica.service for replica in seen if replica.ready}
    return bool(seen) and ready == {replica.service for replica in seen}


def merge_metrics(replicas: Iterable[ReplicaMetrics]) -> bytes:
    """Return one Prometheus text of many, each sample labelled with its service and instance."""
    families: dict[str, Metric] = {}
    for replica in replicas:
        labels = {"service": replica.service, "instance": replica.instance}
        for family in text_string_to_metric_families(replica.text):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.samples.append(sample._replace(labels={**sample.labels, **labels}))
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]):
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _json(body: object, status: int) -> web.Response:
    return web.Response(body=encode(body), status=status, content_type="application/json")
