"""Passing a streamed reply on: chunk by chunk, never more in memory than a few chunks."""

from __future__ import annotations

import asyncio
import logging
import zlib
from typing import Final

from aiohttp import web

from contracts.errors import CdpError, DeadlineExceeded
from contracts.operation import Format
from gateway.exchange import Exchange
from gateway.negotiation import accepts_gzip
from services.kit.logs import log
from services.kit.rpc import Reply

_BUFFER_BYTES = 262_144
"""What may wait in the socket's buffer for a slow client before writing pauses."""
_TEXTUAL: frozenset[Format] = frozenset({"json", "ndjson", "csv"})
"""Parquet and Arrow are compressed in themselves."""
_GZIP_LEVEL: Final = 1
"""Lines of JSON come out an eighth larger than at 6, which aiohttp would take, in half the time."""
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS
"""How zlib is told to write gzip's header."""


async def relay(
    exchange: Exchange, reply: Reply, content_type: str, format_: Format, deadline: float
) -> web.StreamResponse:
    """Send a streamed reply as a chunked response until its end or `deadline` (loop time).

    An error in the middle cannot change the status any more: the connection closes before the final chunk, so the
    client sees that the answer is not complete. When the client leaves, this task is cancelled and the service stops.
    """
    request = exchange.request
    response = web.StreamResponse(headers=_headers(exchange, content_type))
    gzip = None
    if format_ in _TEXTUAL and accepts_gzip(request.headers.get("Accept-Encoding")):
        gzip = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
        response.headers["Content-Encoding"] = "gzip"
    exchange.status = 200
    try:
        async with asyncio.timeout_at(deadline):
            await response.prepare(request)
            if request.transport is not None:
                request.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
            async for chunk in reply.chunks():
                exchange.sent += len(chunk)
                # In a thread: zlib lets go of the interpreter meanwhile, and the loop serves others.
                piece = chunk if gzip is None else await asyncio.to_thread(gzip.compress, chunk)
                if piece:
                    await response.write(piece)
            await response.write_eof(b"" if gzip is None else gzip.flush())
    except (CdpError, TimeoutError) as error:
        reason = error if isinstance(error, CdpError) else DeadlineExceeded()
        log(logging.WARNING, "stream broken off", operation=exchange.name, kind=reason.kind, detail=reason.detail)
        exchange.status = reason.status
        if request.transport is not None:
            request.transport.close()
    finally:
        await reply.aclose()
    return response


def _headers(exchange: Exchange, content_type: str) -> dict[str, str]:
    headers = exchange.headers()
    vary = headers.get("Vary")
    headers["Vary"] = "Accept, Accept-Encoding" if vary is None else f"Accept, Accept-Encoding, {vary}"
    headers["Content-Type"] = content_type
    headers["Cache-Control"] = "no-store"
    headers["Server-Timing"] = exchange.timing()
    if exchange.cache:
        headers["X-Cache"] = exchange.cache
    return headers
