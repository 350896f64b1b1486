"""Settings of workspaces, in PostgreSQL. A workspace without a row has the defaults."""

from __future__ import annotations

from uuid import UUID

from contracts.errors import InvalidRequest
from contracts.workspace import WorkspaceSettings
from services.kit import timerange
from services.kit.postgres import Postgres

_SELECT = "SELECT name, timezone, week_start, clock FROM query.workspaces WHERE workspace_id = $1"
_UPSERT = """
INSERT INTO query.workspaces (workspace_id, name, timezone, week_start, clock, updated_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id) DO UPDATE SET name = excluded.name, timezone = excluded.timezone,
    week_start = excluded.week_start, clock = excluded.clock, updated_by = excluded.updated_by, updated_at = now()
"""


async def get(postgres: Postgres, workspace: UUID) -> WorkspaceSettings:
    """Return the settings of a workspace. Read on every request: a change holds at once on every replica."""
    row = await postgres.fetchrow(_SELECT, workspace)
    return WorkspaceSettings(**dict(row)) if row is not None else WorkspaceSettings()


async def put(postgres: Postgres, workspace: UUID, settings: WorkspaceSettings, author: str) -> None:
    """Replace the settings of a workspace.

    Raises:
        InvalidRequest: no such time zone, a clock out of the reach of events, or text PostgreSQL cannot hold.
    """
    timerange.check_timezone(settings.timezone)
    clock = None if settings.clock is None else timerange.check_instant(settings.clock, "/clock")
    if "\0" in settings.name:
        raise InvalidRequest.at("/name", "a name holds no NUL character")
    await postgres.execute(_UPSERT, workspace, settings.name, settings.timezone, settings.week_start, clock, author)
