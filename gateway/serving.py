"""What happens around every handler: request id, span, errors as problems, metrics and one log line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from contracts.errors import CdpError, Internal
from gateway.access import AccessLog
from gateway.cors import Cors
from gateway.exchange import Exchange
from gateway.metrics import HttpMetrics
from gateway.responses import problem
from services.kit import logs, telemetry

Answerer = Callable[[Exchange], Awaitable[web.StreamResponse]]
CLIENT_LEFT = 499


class Serving:
    """Turns answerers into aiohttp handlers. A function around each handler, not middleware: aiohttp's chain would cost
    the hot path a tenth of its speed."""

    def __init__(self, cors: Cors, metrics: HttpMetrics, access: AccessLog):
        self._cors = cors
        self._access = access
        self._metrics = metrics

    def handler(
        self, name: str, answerer: Answerer, *, quiet: bool = False
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler. `name` stands in metrics, spans and the log; `quiet`: logged at debug level only."""
        level = logging.DEBUG if quiet else logging.INFO

        async def handle(request: web.Request) -> web.StreamResponse:
            cors = self._cors.headers(request.headers.get("Origin")) if self._cors.enabled else {}
            exchange = Exchange(request, name, cors)
            # Each request runs in a task of its own, so nothing needs to be reset.
            logs.request_id.set(exchange.request_id)
            self._metrics.in_flight.inc()
            try:
                with telemetry.span(name, kind="server", parent=request.headers):
                    return await self._guarded(answerer, exchange)
            finally:
                self._metrics.in_flight.dec()
                self._finish(exchange, level)

        return handle

    async def _guarded(self, answerer: Answerer, exchange: Exchange) -> web.StreamResponse:
        try:
            return await answerer(exchange)
        except CdpError as error:
            return problem(exchange, error)
        except (asyncio.CancelledError, ConnectionError):
            exchange.status = CLIENT_LEFT
            raise
        except Exception as error:
            logs.log(logging.ERROR, "request failed", error=error, operation=exchange.name)
            return problem(exchange, Internal(f"request {exchange.request_id}"))

    def _finish(self, exchange: Exchange, level: int) -> None:
        seconds = exchange.seconds
        self._metrics.request(exchange.name, exchange.status, exchange.cache, seconds)
        self._access.write(exchange, seconds, level)
