"""The gateway's way to the services: one NATS connection, looked for in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import nats
import nats.errors
from nats.aio.client import Client

from contracts.errors import Unavailable
from contracts.operation import Operation
from gateway.cache.listener import SUBJECTS, Listener
from gateway.cache.trust import Trust
from services.kit.lifecycle import ConnectionLog, close_quietly, connect_options, end
from services.kit.rpc import Reply, RpcClient
from services.kit.settings import Settings

_AGAIN_SECONDS = 1.0


class Bus:
    """Calls services once NATS is there, and says 503 at once while it is not."""

    def __init__(self, settings: Settings, name: str, trust: Trust, listener: Listener):
        self._settings = settings
        self._name = name
        self._trust = trust
        self._listener = listener
        self._watch = ConnectionLog()
        self._rpc: RpcClient | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.connection: Client | None = None
        """Set while there is one, connected or mending itself."""

    @property
    def connected(self) -> bool:
        """Whether NATS is there now."""
        return self._rpc is not None and self.connection is not None and self.connection.is_connected

    def start(self) -> None:
        """Begin to look for NATS."""
        self._keeper = asyncio.create_task(self._keep(), name="nats")

    async def call(self, operation: Operation, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:
        """Ask a service; see `RpcClient.call`."""
        if self._rpc is None:
            raise Unavailable("there is no connection to NATS", retry_after=1)
        return await self._rpc.call(operation, body, headers, timeout)

    async def close(self) -> None:
        """Leave NATS; what is in flight ends with Unavailable."""
        if self._keeper is not None:
            await end([self._keeper])
        await self._leave()

    async def _keep(self) -> None:
        """Connect, and again when nats-py gives a connection up (it does so on refused credentials)."""
        while True:
            closed = asyncio.Event()
            try:
                await self._connect(closed)
                await closed.wait()
            except (nats.errors.Error, OSError) as error:
                await self._watch.error(error)
                await asyncio.sleep(_AGAIN_SECONDS)
            await self._leave()

    async def _connect(self, closed: asyncio.Event) -> None:
        async def on_closed() -> None:
            closed.set()

        self.connection = await nats.connect(
            **connect_options(self._settings, self._name),
            error_cb=self._error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            closed_cb=on_closed,
        )
        rpc = RpcClient(self.connection)
        await rpc.start()
        self._rpc = rpc
        await self._listener.attach(self.connection)

    async def _leave(self) -> None:
        self._trust.deaf()
        rpc, connection = self._rpc, self.connection
        self._rpc = self.connection = None
        if rpc is not None:
            await close_quietly(rpc.close)
        if connection is not None and not connection.is_closed:
            await close_quietly(connection.close)

    async def _error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError) and str(error.subject) in SUBJECTS:
            self._trust.missed()
        await self._watch.error(error)

    async def _disconnected(self) -> None:
        self._trust.deaf()
        await self._watch.disconnected()

    async def _reconnected(self) -> None:
        self._trust.heard()
        await self._watch.reconnected()
