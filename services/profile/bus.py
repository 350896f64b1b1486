"""The service's own connection to NATS: it asks other services, publishes what happened, and hears what did."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from nats.aio.client import Client as Connection

from services.kit.client import Client
from services.kit.lifecycle import close_quietly, connect
from services.kit.settings import Settings


class Bus:
    """Made without reaching the server; `start` waits for it, and the connection then mends itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Connection | None = None

    async def start(self) -> None:
        """Connect."""
        self._connection = await connect(self._settings, "cdp-profile-bus")

    async def close(self) -> None:
        """Leave."""
        if self._connection is not None:
            await close_quietly(self._connection.close)

    @property
    def connection(self) -> Connection:
        """The connection, for subscriptions and JetStream."""
        assert self._connection is not None, "start() first"
        return self._connection

    async def ask(self, workspace: UUID, operation: str, request: Any, *, timeout: float = 5.0) -> Any:
        """Return another service's answer, of the operation's response type.

        Raises:
            CdpError: as `services.kit.client.Client.call`.
        """
        async with Client(self.connection, workspace, principal="profile", timeout=timeout) as client:
            return await client.call(operation, request)
