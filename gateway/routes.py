"""The routes: one an operation, the gateway's own pages, and an answer for everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiohttp import web
from aiohttp.web_urldispatcher import Resource

from contracts.errors import MethodNotAllowed, NotFound
from contracts.operations import Operation
from gateway.cors import Cors
from gateway.exchange import Exchange
from gateway.responses import page, problem
from gateway.serving import Answerer, Serving


def add_routes(
    router: web.UrlDispatcher,
    operations: Iterable[tuple[Operation, Answerer]],
    pages: Mapping[str, Answerer],
    serving: Serving,
    cors: Cors,
) -> None:
    """Register everything. `pages` are answers to GET by path."""
    for operation, answerer in operations:
        handler = serving.handler(operation.id, answerer)
        if operation.method == "GET":
            router.add_get(operation.path, handler)
        else:
            router.add_route(operation.method, operation.path, handler)
    for path, answerer in pages.items():
        router.add_get(path, serving.handler(path, answerer, quiet=True))
    # Last, so that it gets what matches no path, and what matches a path but none of its methods.
    router.add_route("*", "/{path:.*}", serving.handler("unrouted", _Unrouted(router, cors)))


class _Unrouted:
    """Answers OPTIONS, 404 and 405."""

    def __init__(self, router: web.UrlDispatcher, cors: Cors):
        self._router = router
        self._cors = cors

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        methods = await self._methods(request)
        if not methods:
            return problem(exchange, NotFound("there is nothing at this path: /openapi.json lists what there is"))
        allowed = ", ".join([*methods, "OPTIONS"])
        if request.method != "OPTIONS":
            return problem(exchange, MethodNotAllowed(f"this path knows {allowed}"), {"Allow": allowed})
        extra = {"Allow": allowed, **self._cors.preflight(request, allowed)}
        return page(exchange, b"", "text/plain", status=204, extra=extra)

    async def _methods(self, request: web.Request) -> list[str]:
        methods: dict[str, None] = {}
        for resource in self._router.resources():
            if isinstance(resource, Resource) and resource.canonical != "/{path}":
                _, allowed = await resource.resolve(request)
                methods.update(dict.fromkeys(sorted(allowed)))
        return list(methods)
