"""Responses: whole answers, problems, and the gateway's own pages."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from aiohttp import web

from contracts.base import encode
from contracts.errors import CdpError
from gateway.cache.entry import Entry
from gateway.etags import GZIP_SUFFIX, is_among
from gateway.exchange import Exchange
from gateway.negotiation import accepts_gzip

PROBLEM_JSON = "application/problem+json"


async def whole(exchange: Exchange, entry: Entry, *, validate: bool) -> web.Response:
    """Return the response for a whole answer; with `validate` it has an ETag, and may be 304. An answer that shows a
    version always has its ETag."""
    asked = exchange.request.headers
    headers = exchange.headers()
    headers["Content-Type"] = entry.content_type
    headers["Cache-Control"] = "private, no-cache"
    vary = headers.get("Vary")
    headers["Vary"] = "Accept, Accept-Encoding" if vary is None else f"Accept, Accept-Encoding, {vary}"
    body = entry.body
    suffix = ""
    if accepts_gzip(asked.get("Accept-Encoding")) and (compressed := await entry.gzipped()) is not None:
        body = compressed
        suffix = GZIP_SUFFIX
        headers["Content-Encoding"] = "gzip"
    if exchange.cache:
        headers["X-Cache"] = exchange.cache
        if exchange.cache == "hit":
            headers["Age"] = str(entry.age(time.time()))
    headers["Server-Timing"] = exchange.timing()
    if validate or entry.versioned:
        headers["ETag"] = f'"{entry.etag}{suffix}"'
    if validate:
        wanted = asked.get("If-None-Match")
        if wanted is not None and is_among(entry.etag, wanted):
            del headers["Content-Type"]
            headers.pop("Content-Encoding", None)
            return finish(exchange, 304, b"", headers)
    return finish(exchange, 200, body, headers)


def problem(exchange: Exchange, error: CdpError, extra: Mapping[str, str] | None = None) -> web.Response:
    """Return the response that describes an error (RFC 9457)."""
    headers = exchange.headers()
    headers["Content-Type"] = PROBLEM_JSON
    headers["Cache-Control"] = "no-store"
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if extra:
        headers.update(extra)
    response = finish(exchange, error.status, encode(error.problem()), headers)
    if exchange.request.content.exception() is not None:
        response.force_close()  # nobody knows where a broken body ends, so the client must not use the connection again
    return response


def page(
    exchange: Exchange, body: bytes, content_type: str, *, status: int = 200, extra: Mapping[str, str] | None = None
) -> web.Response:
    """Return one of the gateway's own pages."""
    return finish(exchange, status, body, {**exchange.headers(), "Content-Type": content_type, **(extra or {})})


def finish(exchange: Exchange, status: int, body: bytes, headers: Mapping[str, str]) -> web.Response:
    """Return the response and note what it is for the log."""
    exchange.status = status
    exchange.sent = len(body)
    return web.Response(status=status, body=body, headers=headers)
