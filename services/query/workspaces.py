"""Settings of workspaces, in PostgreSQL. A workspace without a row has the defaults."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from contracts.base import decoder, encode
from contracts.common import TABLES
from contracts.errors import InvalidRequest
from contracts.predicates import Predicate
from contracts.workspace import Limits, WorkspaceSettings
from services.kit import timerange
from services.kit.postgres import Postgres
from services.kit.predicates import Scope, check_predicate, compile_predicate, traits_named

_SELECT = """
SELECT name, timezone, week_start, clock, blocked_ids, internal_users, limits
FROM query.workspaces WHERE workspace_id = $1
"""
_UPSERT = """
INSERT INTO query.workspaces
    (workspace_id, name, timezone, week_start, clock, blocked_ids, internal_users, limits, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (workspace_id) DO UPDATE SET name = excluded.name, timezone = excluded.timezone,
    week_start = excluded.week_start, clock = excluded.clock, blocked_ids = excluded.blocked_ids,
    internal_users = excluded.internal_users, limits = excluded.limits,
    updated_by = excluded.updated_by, updated_at = now()
"""


async def get(postgres: Postgres, workspace: UUID) -> WorkspaceSettings:
    """Return the settings of a workspace. Read on every request: a change holds at once on every replica."""
    row = await postgres.fetchrow(_SELECT, workspace)
    if row is None:
        return WorkspaceSettings()
    internal = row["internal_users"]
    return WorkspaceSettings(
        name=row["name"],
        timezone=row["timezone"],
        week_start=row["week_start"],
        clock=row["clock"],
        blocked_ids=tuple(row["blocked_ids"]),
        internal_users=None if internal is None else decoder(Predicate).decode(internal),
        limits=decoder(Limits).decode(row["limits"]),
    )


def check(workspace: UUID, settings: WorkspaceSettings) -> None:
    """Refuse settings that cannot be.

    Raises:
        InvalidRequest: no such time zone, a clock out of the reach of events, a predicate that asks for what no event
            has, or text PostgreSQL cannot hold.
    """
    timerange.check_timezone(settings.timezone)
    if settings.clock is not None:
        timerange.check_instant(settings.clock, "/clock")
    if "\0" in settings.name:
        raise InvalidRequest.at("/name", "a name holds no NUL character")
    for index, id_ in enumerate(settings.blocked_ids):
        if "\0" in id_:
            raise InvalidRequest.at(f"/blocked_ids/{index}", "an id here holds no NUL character")
        if id_ in settings.blocked_ids[:index]:
            raise InvalidRequest.at(f"/blocked_ids/{index}", "is named twice: name each id once")
    if settings.internal_users is not None:
        check_predicate(settings.internal_users, TABLES, "/internal_users")
        # Patterns, times and durations are refused by the compiler alone.
        scope = Scope(
            workspace=workspace,
            tables=TABLES,
            as_of=settings.clock or datetime.now(UTC),
            timezone=settings.timezone,
            traits=traits_named(settings.internal_users),
        )
        compile_predicate(settings.internal_users, scope, "/internal_users")


async def put(postgres: Postgres, workspace: UUID, settings: WorkspaceSettings, author: str) -> None:
    """Replace the settings of a workspace, which `check` let pass."""
    internal = settings.internal_users
    await postgres.execute(
        _UPSERT,
        workspace,
        settings.name,
        settings.timezone,
        settings.week_start,
        settings.clock,
        list(settings.blocked_ids),
        None if internal is None else encode(internal).decode(),
        encode(settings.limits).decode(),
        author,
    )
