"""The aiohttp server: its settings, and what it says to bytes that are no HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from contracts.base import encode
from contracts.errors import Internal, InvalidRequest
from gateway.responses import PROBLEM_JSON
from gateway.serving import Serving
from services.kit.logs import log


class _Protocol(RequestHandler):
    """Answers what cannot be parsed with a problem, where aiohttp would send text with its version."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            log(logging.ERROR, "request failed outside its handler", error=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun: all that is left is to close")
        error = Internal() if status >= 500 else InvalidRequest("this is not valid HTTP/1.1")
        headers = {"Server": "cdp", "Content-Type": PROBLEM_JSON}
        response = web.Response(status=error.status, body=encode(error.problem()), headers=headers)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


def new_server(serving: Serving, max_body_bytes: int, keepalive_seconds: float) -> web.Server:
    """Return the aiohttp server for a handler. Call in the running event loop."""
    loop = asyncio.get_running_loop()

    def new_request(
        message: RawRequestMessage, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=max_body_bytes)

    return _Server(
        serving,
        request_factory=new_request,
        handler_cancellation=True,  # a client that leaves stops the work done for it
        access_log=None,  # gateway.access writes its own
        keepalive_timeout=keepalive_seconds,
    )
