"""What a service is made of, in the terms of its handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from contracts.caching import CacheDrop, CachePolicy
from contracts.operation import Format, Operation
from contracts.operations import of_service
from services.kit.metrics import Metrics


def _nothing() -> None:
    pass


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds a request: everything its body does not say."""

    workspace: UUID
    request_id: str
    principal: str
    deadline: float
    """Loop time at which the handler is cancelled."""
    now: datetime | None
    """The clock reading of the process that asked, None when this one takes it."""
    format: Format
    stream: bool
    """The caller reads replies of several frames."""
    leave: Callable[[], None] = _nothing
    """Gives the request's place among those being computed to another: what follows is bounded in another way."""

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


class Answer(msgspec.Struct, frozen=True):
    """An encoded answer. Over 512 KiB it goes out in frames, or is a TooLarge for a caller that reads none."""

    body: bytes
    content_type: str = "application/json"
    cache: CachePolicy | None = None
    now: datetime | None = None
    """The clock the answer was computed with, for the `Cdp-Now` header."""
    drop: CacheDrop | None = None
    """What the gateways must no longer answer from their caches; told to them before the caller is answered."""
    version: int | None = None
    """The version of the resource shown, for the `Cdp-Version` header."""


class Stream(msgspec.Struct, frozen=True):
    """An answer made while it is sent. `totals` is asked after the last chunk; its facts travel in the end frame.

    `chunks` is closed (`aclose`) when the caller goes away or the time is over.
    """

    chunks: AsyncIterator[bytes]
    content_type: str
    cache: CachePolicy | None = None
    totals: Callable[[], Mapping[str, Any]] = dict
    now: datetime | None = None


Handler: TypeAlias = Callable[[Any, RequestContext], Awaitable[Any]]
"""``async (request, context) -> Struct | Answer | Stream``; raises `CdpError` for what the caller should know."""
Check: TypeAlias = Callable[[], Awaitable[object]]
"""Succeeds when a dependency works, raises otherwise."""
Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""Opens what the handlers need and closes it after the last answer. Must not fail when a store is down for now."""


class Service:
    """The operations one kind of process answers.

    Raises:
        ValueError: the handlers are not exactly those of the operations table.
    """

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, Handler],
        lifespan: Lifespan | None = None,
        checks: Mapping[str, Check] | None = None,
        optional: Mapping[str, Check] | None = None,
        operations: tuple[Operation, ...] | None = None,
        metrics: Metrics | None = None,
    ):
        self.name = name
        self.handlers = dict(handlers)
        self.lifespan = lifespan
        self.checks = dict(checks or {})
        self.metrics = metrics or Metrics()
        self.optional = dict(optional or {})
        """Checks of what some answers need, and the service as a whole does not."""
        self.operations = of_service(name) if operations is None else operations
        wanted = {operation.name for operation in self.operations}
        if wanted != self.handlers.keys():
            odd = sorted(wanted ^ self.handlers.keys())
            raise ValueError(f"service {name}: operations and handlers differ in {', '.join(odd)}")
