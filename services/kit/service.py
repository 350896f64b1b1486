"""A service: handlers for operations, served over NATS.

    service = Service("query", handlers={"events": events, …}, lifespan=open_stores, checks={"clickhouse": ping})
    run(service, settings)

`run` builds the FastStream application, answers until SIGTERM or SIGINT, then drains: it takes no more requests,
finishes those it has, and leaves.
"""

from __future__ import annotations

import asyncio

from services.kit.lifecycle import instance_id
from services.kit.logs import configure
from services.kit.service_app import ServiceApp
from services.kit.service_types import Answer, Check, Handler, Lifespan, RequestContext, Service, Stream
from services.kit.settings import Settings

__all__ = ["Answer", "Check", "Handler", "Lifespan", "RequestContext", "Service", "Stream", "run", "serve"]


def run(service: Service, settings: Settings) -> None:
    """Serve in this process until it is told to stop. Starts its own event loop: call it in the main thread of a
    process that has none, fresh or forked."""
    asyncio.run(serve(service, settings))


async def serve(service: Service, settings: Settings) -> None:
    """As `run`, in the event loop at hand."""
    instance = instance_id()
    configure(settings.log_level, service.name, instance)
    await ServiceApp(service, settings, instance).run()
