"""Custom SQL asked of the query service's own handler, in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from contracts.base import encode
from contracts.errors import CdpError
from contracts.operation import Format
from contracts.sql import SqlRequest
from services.kit.service import Answer, RequestContext
from services.kit.settings import Settings
from services.query.main import build
from services.query.resources import Resources
from services.query.sql.handler import sql


@asynccontextmanager
async def resources_of(settings: Settings) -> AsyncIterator[Resources]:
    """Open what the service's handlers share."""
    service = build(settings)
    handler = service.handlers["events"]
    assert isinstance(handler, partial)
    assert service.lifespan is not None
    async with service.lifespan():
        yield handler.args[0]


@dataclass(frozen=True)
class Asked:
    """What came of a statement: a status, and all the bytes of the answer or of the error."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


async def ask(
    resources: Resources, workspace: UUID, query: str, *, format: Format = "json", seconds: float = 20, **request: Any
) -> Asked:
    """Send a statement as a workspace."""
    context = RequestContext(
        workspace=workspace,
        request_id="r",
        principal="tests",
        deadline=asyncio.get_running_loop().time() + seconds,
        now=None,
        format=format,
        stream=True,
    )
    try:
        message = msgspec.convert({"query": query, **request}, SqlRequest)
        answer = await sql(resources, message, context)
        if isinstance(answer, Answer):
            return Asked(200, answer.body)
        return Asked(200, b"".join([chunk async for chunk in answer.chunks]))
    except CdpError as error:
        return Asked(error.status, encode(error.problem()))
