"""The gateway's process."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal

from aiohttp import web

from gateway.gateway import Gateway
from gateway.server import new_server
from services.kit import logs, telemetry
from services.kit.lifecycle import DRAIN_SECONDS, instance_id
from services.kit.settings import Settings, load

_BACKLOG = 1_024
_KEEPALIVE_SECONDS = 75.0
"""Above the minute most load balancers keep idle connections, so that they close first."""


def run(settings: Settings, *, share_port: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. Starts its own event loop: call it in the main thread of a process that has none,
    fresh or forked."""
    asyncio.run(serve(settings, share_port=share_port))


async def serve(settings: Settings, *, share_port: bool = False) -> None:
    """As `run`, in the event loop at hand: answer until told to stop, then take no more requests, finish those in
    flight (for at most `DRAIN_SECONDS`), and leave.

    With `share_port` several gateways on one machine listen on the same port and the kernel spreads the connections.

    Raises:
        OSError: the port is taken.
    """
    instance = instance_id()
    logs.configure(settings.log_level, "gateway", instance)
    telemetry.configure(settings.otlp_endpoint, "gateway", instance)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(settings, instance)
    runner = new_runner(gateway, settings)
    await runner.setup()
    try:
        site = web.TCPSite(
            runner, settings.api_host, settings.api_port, backlog=_BACKLOG, reuse_port=share_port or None
        )
        await site.start()
        await gateway.start()
        _settle()
        logs.log(logging.INFO, "serving", host=settings.api_host, port=settings.api_port)
        await stop.wait()
        logs.log(logging.INFO, "draining")
    finally:
        await runner.cleanup()
        await gateway.close()
        telemetry.shutdown()


def _settle() -> None:
    """Take what start-up made out of the garbage collector's sight: it lives as long as the process, and looking
    through it again and again cost cached answers a tenth of their speed."""
    gc.collect()
    gc.freeze()


def new_runner(gateway: Gateway, settings: Settings) -> web.ServerRunner:
    """Return what serves the gateway's HTTP. Call in the running event loop."""
    server = new_server(gateway.serving, settings.max_body_bytes, _KEEPALIVE_SECONDS)
    return web.ServerRunner(server, shutdown_timeout=DRAIN_SECONDS)


if __name__ == "__main__":
    run(load())
