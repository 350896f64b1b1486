"""What happens around every answerer: routing, request id, span, errors as problems, metrics and one log line."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from contracts.errors import CdpError, Internal
from gateway.access import AccessLog
from gateway.cors import Cors
from gateway.exchange import Exchange
from gateway.metrics import HttpMetrics
from gateway.reading import REQUEST_ID, RequestIds
from gateway.responses import problem
from gateway.routes import Routes
from services.kit import logs, telemetry

CLIENT_LEFT = 499


class Serving:
    """The handler of all requests."""

    def __init__(self, routes: Routes, cors: Cors, metrics: HttpMetrics, access: AccessLog):
        self._routes = routes
        self._cors = cors
        self._metrics = metrics
        self._access = access
        self._ids = RequestIds()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        asked = request.headers
        route, parameters = self._routes.find(request.method, request.path)
        cors = self._cors.headers(asked.get("Origin")) if self._cors.enabled else {}
        exchange = Exchange(request, route.name, self._ids.of(asked.get(REQUEST_ID)), parameters, cors)
        # Each request runs in a task of its own, so nothing needs to be reset.
        logs.request_id.set(exchange.request_id)
        self._metrics.in_flight += 1
        try:
            if not telemetry.enabled():
                return await route.answerer(exchange)
            with telemetry.span(route.name, kind="server", parent=asked):
                return await route.answerer(exchange)
        except CdpError as error:
            return problem(exchange, error)
        except (asyncio.CancelledError, ConnectionError):
            exchange.status = CLIENT_LEFT
            raise
        except Exception as error:
            logs.log(logging.ERROR, "request failed", error=error, operation=route.name)
            return problem(exchange, Internal(f"request {exchange.request_id}"))
        finally:
            seconds = exchange.seconds
            self._metrics.in_flight -= 1
            self._metrics.request(route.name, exchange.status, exchange.cache, seconds)
            self._access.write(exchange, seconds, route.level)
