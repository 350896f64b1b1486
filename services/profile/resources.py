"""What the handlers and the projector share: the stores and the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.kit.clickhouse import ClickHouse
from services.kit.metrics import Metrics
from services.kit.postgres import Postgres
from services.kit.schema_gate import SchemaGate
from services.kit.settings import Settings
from services.profile.bus import Bus
from services.profile.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Resources:
    """Handles of one process."""

    settings: Settings
    clickhouse: ClickHouse
    postgres: Postgres
    schema: SchemaGate
    bus: Bus
    workspaces: Workspaces
    metrics: Metrics = field(default_factory=Metrics)

    @classmethod
    def of(cls, settings: Settings) -> Resources:
        """Return handles that reach no server before they are opened. To be made after a fork."""
        size = settings.clickhouse_pool_size
        clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=size)
        bus = Bus(settings)
        return cls(
            settings=settings,
            clickhouse=clickhouse,
            postgres=Postgres(settings.postgres_url, size=settings.postgres_pool_size),
            schema=SchemaGate(clickhouse, settings.clickhouse_cluster),
            bus=bus,
            workspaces=Workspaces(bus),
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Be connected while the block runs; waits for NATS alone."""
        await self.postgres.start()
        await self.clickhouse.start()
        try:
            await self.bus.start()
            await self.workspaces.start()
            yield
        finally:
            await self.bus.close()
            await self.clickhouse.close()
            await self.postgres.close()

    @property
    def external_ids(self) -> frozenset[str]:
        """Traits that name one person."""
        return frozenset(self.settings.profiles_external_ids.replace(" ", "").split(",")) - {""}
