"""People of a workspace over HTTP: events written as ingestion writes them, and their profiles made at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from services.kit.clickhouse import ClickHouse
from services.kit.identity import NOBODY, actor_key_of
from services.kit.postgres import Postgres
from services.kit.schema_gate import SchemaGate
from services.kit.settings import Settings
from services.profile.bus import Bus
from services.profile.projection import project
from services.profile.resources import Resources
from services.profile.workspaces import Workspaces
from tests.api import Answer, Api

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Resources]:
    """Yield what the profile service works with, in this process."""
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=4)
    bus, postgres = Bus(settings), Postgres(settings.postgres_url, size=4)
    await postgres.start()
    await clickhouse.start()
    await bus.start()
    try:
        yield Resources(
            settings=settings,
            clickhouse=clickhouse,
            postgres=postgres,
            schema=SchemaGate(clickhouse, ""),
            bus=bus,
            workspaces=Workspaces(bus),
        )
    finally:
        await bus.close()
        await clickhouse.close()
        await postgres.close()


def event(number: int, **fields: Any) -> dict[str, Any]:
    """Return a track event, or with `traits` an identify event, the n-th: a minute apart."""
    named: dict[str, Any] = {"table": "identify"} if "traits" in fields else {"table": "track", "event": "e"}
    moment = T0 + number * 60_000
    return {"message_id": f"m{number}", "timestamp": moment, "received_at": moment, **named, **fields}


@dataclass(frozen=True)
class People:
    """The profiles of one workspace."""

    api: Api
    resources: Resources

    async def write(self, *events: Mapping[str, Any]) -> None:
        """Insert events and make the profiles of whoever they name."""
        await self.api.write(events)
        await self.project(events)

    async def project(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Make the profiles of whoever some events name."""
        workspace = self.api.workspace
        keys = {actor_key_of(workspace, "user", each.get("user_id", "")) for each in events}
        keys |= {actor_key_of(workspace, "anonymous", each.get("anonymous_id", "")) for each in events}
        await project(self.resources, workspace, keys - {NOBODY})

    async def get(self, reference: str) -> dict[str, Any]:
        """Return a profile, which must be there."""
        answer = await self.ask(reference)
        assert answer.status == 200, (reference, answer.body)
        found: dict[str, Any] = answer.json
        return found

    async def ask(self, reference: str, what: str = "", body: Any = None) -> Answer:
        """Send a request about a profile: GET, or POST with a body."""
        path = f"/profiles/{quote(reference, safe='')}{what}"
        return await self.api.call(path, body, method="GET" if body is None else "POST")

    async def post(self, reference: str, what: str, **body: Any) -> Any:
        """Send a POST about a profile, which must be answered."""
        answer = await self.ask(reference, f"/{what}", body)
        assert answer.status == 200, (reference, what, body, answer.body)
        return answer.json
