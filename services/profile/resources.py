"""What the handlers and the projector share: the stores and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from services.kit.clickhouse import ClickHouse
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

    @property
    def external_ids(self) -> frozenset[str]:
        """Traits that name one person."""
        return frozenset(self.settings.profiles_external_ids.replace(" ", "").split(",")) - {""}
