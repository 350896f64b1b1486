"""The gateway's own pages: documents, the page that shows them, and where to begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

from aiohttp import web

from contracts.base import encode
from contracts.operation import Operation
from gateway.cache.entry import Entry
from gateway.documents.asyncapi import asyncapi
from gateway.documents.openapi import openapi
from gateway.exchange import Exchange
from gateway.responses import whole
from gateway.routes import Answerer

TITLE = "CDP Data Layer"
API_VERSION = "1.0.0"


class _Page:
    """Bytes that never change while the process lives."""

    def __init__(self, body: bytes, content_type: str):
        self._entry = Entry(body, content_type, stored_at=0, ttl=0, policy=None)

    async def __call__(self, exchange: Exchange) -> web.Response:
        return await whole(exchange, self._entry, validate=True)


def document_pages(operations: Sequence[Operation]) -> Mapping[str, Answerer]:
    """Return the answers, by path."""
    index = {
        "name": TITLE,
        "version": API_VERSION,
        "documentation": "/docs",
        "openapi": "/openapi.json",
        "asyncapi": "/asyncapi.json",
        "ready": "/ready",
        "metrics": "/metrics",
    }
    html = resources.files("gateway.documents").joinpath("page.html").read_bytes()
    return {
        "/": _Page(encode(index), "application/json"),
        "/openapi.json": _Page(encode(openapi(operations, TITLE, API_VERSION)), "application/json"),
        "/asyncapi.json": _Page(encode(asyncapi(operations, TITLE, API_VERSION)), "application/json"),
        "/docs": _Page(html, "text/html; charset=utf-8"),
    }
