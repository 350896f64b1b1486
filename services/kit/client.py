"""A typed client of all operations, over NATS.

connection = await nats.connect("nats://127.0.0.1:4222")
async with Client(connection, workspace) as client:
    page = await client.call("query.events", EventsRequest(names=("Order Completed",), limit=3))
    async with client.stream("query.events", EventsRequest(), format="ndjson") as reply:
        async for chunk in reply.chunks():
            ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

from nats.aio.client import Client as Connection

from contracts import headers as names
from contracts.base import decode, encode
from contracts.operation import Format, Operation
from contracts.operations import BY_ID
from services.kit.rpc import Reply, RpcClient


class Client:
    """Calls operations by their id in the table, for one workspace."""

    def __init__(
        self,
        connection: Connection,
        workspace: UUID,
        *,
        principal: str = "",
        timeout: float = 30.0,
        operations: Mapping[str, Operation] = BY_ID,
    ):
        self._rpc = RpcClient(connection)
        self._headers = {names.WORKSPACE: str(workspace)}
        if principal:
            self._headers[names.PRINCIPAL] = principal
        self._timeout = timeout
        self._operations = operations

    async def __aenter__(self) -> Client:
        await self._rpc.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rpc.close()

    async def call(self, operation: str, request: Any, *, timeout: float | None = None) -> Any:
        """Return the decoded answer, of the operation's response type.

        Raises:
            CdpError: see `contracts.errors`; `Unavailable` and `DeadlineExceeded` among them.
            KeyError: no such operation.
            TypeError: the request is not of the operation's type.
        """
        found = self._operations[operation]
        reply = await self._ask(found, request, "json", timeout)
        answer: Any = decode(await reply.read(), found.response)
        return answer

    @asynccontextmanager
    async def stream(
        self, operation: str, request: Any, *, format: Format = "ndjson", timeout: float | None = None
    ) -> AsyncIterator[Reply]:
        """Open an answer of another format: read `chunks()`, then `totals`. Leaving early stops the service."""
        reply = await self._ask(self._operations[operation], request, format, timeout)
        async with reply:
            yield reply

    async def _ask(self, operation: Operation, request: Any, format_: Format, timeout: float | None) -> Reply:
        if not isinstance(request, operation.request):
            raise TypeError(f"{operation.id} takes {operation.request}, not {type(request).__name__}")
        headers = {**self._headers, names.REQUEST_ID: uuid4().hex, names.ACCEPT: format_}
        return await self._rpc.call(operation, encode(request), headers, self._timeout if timeout is None else timeout)
