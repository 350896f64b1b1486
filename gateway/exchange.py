"""One HTTP request and what is found out about it on the way to its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiohttp import web

from gateway.reading import REQUEST_ID


class Exchange:
    """Made when a request arrives; its facts end in the response's headers, the log line and the metrics."""

    __slots__ = (
        "cache",
        "cors",
        "name",
        "parameters",
        "request",
        "request_id",
        "sent",
        "service_seconds",
        "started",
        "status",
        "workspace",
    )

    def __init__(
        self,
        request: web.BaseRequest,
        name: str,
        request_id: str,
        parameters: Mapping[str, str],
        cors: Mapping[str, str],
    ):
        self.request = request
        self.name = name
        """The operation's id, or the name of one of the gateway's own pages."""
        self.parameters = parameters
        """What the path's variable parts are."""
        self.cors = cors
        """Headers that let the calling page read the answer."""
        self.started = time.perf_counter()
        self.request_id = request_id
        self.workspace = ""
        self.cache = ""
        """How the cache took part: hit, miss, bypass (the client wanted it so), or not at all ('')."""
        self.service_seconds: float | None = None
        """Time spent waiting for the answer's (first) bytes, when it was not in memory."""
        self.status = 0
        self.sent = 0
        """Bytes of body."""

    @property
    def seconds(self) -> float:
        """Time since arrival."""
        return time.perf_counter() - self.started

    def headers(self) -> dict[str, str]:
        """Return the headers every response carries."""
        headers = {"Server": "cdp", REQUEST_ID: self.request_id, "X-Content-Type-Options": "nosniff"}
        if self.cors:
            headers.update(self.cors)
        return headers

    def timing(self) -> str:
        """Return Server-Timing: milliseconds in all, and of these in the service."""
        total = f"total;dur={self.seconds * 1000:.1f}"
        return total if self.service_seconds is None else f"{total}, service;dur={self.service_seconds * 1000:.1f}"
