"""Which browsers' pages may call (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from gateway.reading import REQUEST_ID, WORKSPACE

_EXPOSED = f"Age, Content-Length, ETag, Retry-After, Server-Timing, X-Cache, {REQUEST_ID}"
_ALLOWED = (
    "Accept, Authorization, Cache-Control, Content-Type, If-Match, If-None-Match, traceparent, "
    f"{REQUEST_ID}, {WORKSPACE}"
)
_PREFLIGHT_SECONDS = "7200"


class Cors:
    """`origins`: comma-separated, `*` for any, empty for none."""

    def __init__(self, origins: str):
        self._origins = frozenset(origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip())
        self._any = "*" in self._origins
        self.enabled = bool(self._origins)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return what a response to this origin needs; nothing when it may not read the answer."""
        if not self.enabled:
            return {}
        if origin is None or not (self._any or origin in self._origins):
            return {} if self._any else {"Vary": "Origin"}
        if self._any:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _EXPOSED,
            "Vary": "Origin",
        }

    def preflight(self, request: web.BaseRequest, methods: str) -> Mapping[str, str]:
        """Return what an OPTIONS answer needs; `methods` are those of the path, comma-separated."""
        headers = self.headers(request.headers.get("Origin"))
        if "Access-Control-Allow-Origin" not in headers or "Access-Control-Request-Method" not in request.headers:
            return headers
        return {
            **headers,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": _ALLOWED,
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
