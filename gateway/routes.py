"""Which answerer a method and a path lead to.

An own table instead of aiohttp's `Application`: on cached answers its routing, match info and signals took a fifth of
the time, and `web.Server` below it is made for this.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiohttp import web

from contracts.errors import MethodNotAllowed, NotFound
from gateway.cors import Cors
from gateway.exchange import Exchange
from gateway.responses import page, problem

Answerer = Callable[[Exchange], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """`name` stands in metrics, spans and the log; `level` is that of its log line."""

    name: str
    answerer: Answerer
    level: int = logging.INFO


_NOTHING: Mapping[str, str] = {}


class Routes:
    """Paths, exact or with parts in braces (`/profiles/{id}`), each with a route a method."""

    def __init__(self, cors: Cors):
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        self._by_path: dict[str, dict[str, Route]] = {}
        self._unrouted = Route("unrouted", self._answer_unrouted)
        self._cors = cors

    def add(self, method: str, path: str, route: Route) -> None:
        """Register a route; one for GET answers HEAD too."""
        methods = self._by_path.get(path)
        if methods is None:
            methods = self._by_path[path] = {}
            if "{" in path:
                self._patterns.append((_pattern(path), methods))
            else:
                self._exact[path] = methods
        methods[method] = route
        if method == "GET":
            methods["HEAD"] = route

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """Return the route and the path's parameters; there is always one: it may answer 404 or 405."""
        methods, parameters = self._methods(path)
        return methods.get(method, self._unrouted), parameters

    def _methods(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        methods = self._exact.get(path)
        if methods is not None:
            return methods, _NOTHING
        for pattern, candidates in self._patterns:
            if match := pattern.fullmatch(path):
                return candidates, match.groupdict()
        return {}, _NOTHING

    async def _answer_unrouted(self, exchange: Exchange) -> web.StreamResponse:
        """Answer OPTIONS, 404 and 405."""
        request = exchange.request
        methods, _ = self._methods(request.path)
        if not methods:
            return problem(exchange, NotFound("there is nothing at this path; /openapi.json lists what there is"))
        allowed = ", ".join([*sorted(methods), "OPTIONS"])
        if request.method != "OPTIONS":
            return problem(exchange, MethodNotAllowed(f"this path knows {allowed}"), {"Allow": allowed})
        extra = {"Allow": allowed, **self._cors.preflight(request, allowed)}
        return page(exchange, b"", "text/plain", status=204, extra=extra)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )
