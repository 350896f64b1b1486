"""One operation over HTTP, whichever it is: read, look into the cache, ask, answer."""

from __future__ import annotations

import asyncio
import re
import time

from aiohttp import web

from contracts import headers as names
from contracts.base import encode
from contracts.operation import MEDIA_TYPES, Format, Operation
from gateway import reading
from gateway.answers import Answers, Question
from gateway.cache.entry import Entry
from gateway.cache.keys import CanonicalKey, RawKey, canonical_key, raw_key
from gateway.cache.memory import Memory
from gateway.cache.trust import Trust
from gateway.exchange import Exchange
from gateway.metrics import HttpMetrics
from gateway.negotiation import choose_format
from gateway.relay import relay
from gateway.responses import whole
from services.kit.settings import Settings

PRINCIPAL = "anonymous"
"""Who asks, as long as there is no access control."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context; anything else is no trace, and may be bytes that no NATS header can carry."""


class Endpoint:
    """Answers one operation of the table."""

    def __init__(
        self,
        operation: Operation,
        answers: Answers,
        memory: Memory,
        trust: Trust,
        metrics: HttpMetrics,
        settings: Settings,
    ):
        self._operation = operation
        self._answers = answers
        self._memory = memory
        self._trust = trust
        self._metrics = metrics
        self._settings = settings
        self._has_body = operation.has_body
        self._body_alone = operation.has_body and not (operation.parameters or operation.conditional)
        """The body is the whole request."""
        self._validates = operation.method == "GET" or operation.cache is not None

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answer the request, or raise the CdpError that says why not."""
        operation = self._operation
        request = exchange.request
        exchange.workspace = workspace = reading.workspace(request.headers.get(reading.WORKSPACE))
        format_ = choose_format(request.headers.get("Accept"), operation.formats)
        if self._has_body:
            settings = self._settings
            body = await reading.read_body(
                request,
                settings.max_body_bytes,
                settings.request_timeout_seconds,
                optional=not self._body_alone,
            )
        else:
            body = b""
        if not self._answers.cacheable(operation, format_):
            return await self._ask(exchange, format_, self._decode(exchange, body), body, None)
        raw = raw_key(workspace, operation, format_, body if self._body_alone else _addressed(request, body))
        bypass = _bypasses(request.headers.get("Cache-Control"))
        if not bypass and (entry := self._recall(raw)):
            return await self._hit(exchange, entry)
        decoded = self._decode(exchange, body)
        key = canonical_key(workspace, operation, format_, decoded)
        if not bypass and self._trust.hearing and (entry := self._memory.get(key, time.time())):
            self._memory.alias(raw, key)
            return await self._hit(exchange, entry)
        response = await self._ask(exchange, format_, decoded, body, key, bypass=bypass)
        self._memory.alias(raw, key)
        return response

    def _recall(self, raw: RawKey) -> Entry | None:
        return self._memory.find(raw, time.time()) if self._trust.hearing else None

    async def _hit(self, exchange: Exchange, entry: Entry) -> web.Response:
        exchange.cache = "hit"
        return await whole(exchange, entry, validate=self._validates)

    def _decode(self, exchange: Exchange, body: bytes) -> object:
        request, path = exchange.request, exchange.parameters
        if_match = ", ".join(request.headers.getall("If-Match")) if "If-Match" in request.headers else None
        if self._has_body:
            return reading.decode_body(self._operation, path, if_match, body)
        return reading.decode_parameters(self._operation, path, request.query.items(), if_match)

    async def _ask(
        self,
        exchange: Exchange,
        format_: Format,
        decoded: object,
        body: bytes,
        key: CanonicalKey | None,
        *,
        bypass: bool = False,
    ) -> web.StreamResponse:
        settings = self._settings
        lasting = self._operation.lasting or format_ != "json"
        seconds = settings.stream_timeout_seconds if lasting else settings.request_timeout_seconds
        deadline = asyncio.get_running_loop().time() + seconds
        question = Question(
            operation=self._operation,
            format=format_,
            body=body if self._body_alone else encode(decoded),
            headers=_headers(exchange, format_),
            deadline=deadline,
            key=key,
            bypass=bypass,
        )
        asked = time.perf_counter()
        outcome = await self._answers.answer(question)
        exchange.service_seconds = time.perf_counter() - asked
        if key is not None:
            exchange.cache = "bypass" if bypass else "hit" if outcome.hit else "miss"
        if outcome.entry is not None:
            return await whole(exchange, outcome.entry, validate=self._validates)
        reply = outcome.claim()
        assert reply is not None, "a streamed outcome is claimed once, here"
        content_type = reply.headers.get(names.CONTENT_TYPE) or MEDIA_TYPES[format_]
        try:
            return await relay(exchange, reply, content_type, format_, deadline)
        finally:
            self._metrics.streamed(exchange.name, exchange.sent)


def _headers(exchange: Exchange, format_: Format) -> dict[str, str]:
    headers = {
        names.WORKSPACE: exchange.workspace,
        names.REQUEST_ID: exchange.request_id,
        names.PRINCIPAL: PRINCIPAL,
        names.ACCEPT: format_,
    }
    # A caller's trace goes on to the services even when this gateway records none.
    traceparent = exchange.request.headers.get(names.TRACEPARENT)
    if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
        headers[names.TRACEPARENT] = traceparent
    return headers


def _addressed(request: web.BaseRequest, body: bytes) -> bytes:
    """Return what tells one request from another when path and body say it together."""
    return b"%b\n%b" % (request.path_qs.encode(errors="surrogateescape"), body)


def _bypasses(cache_control: str | None) -> bool:
    return cache_control is not None and ("no-cache" in cache_control or "no-store" in cache_control)
