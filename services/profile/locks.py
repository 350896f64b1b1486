"""One writer of a workspace's profiles at a time, whatever the process.

Each statement of such a transaction is planned for the values it is given: there may be one or thousands, and a plan
kept since the tables were all but empty goes through them once for each value, for minutes.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

_SPACE = int.from_bytes(b"prof")
_PLAN = "set_config('plan_cache_mode', 'force_custom_plan', true)"


async def lock_shared(connection: asyncpg.Connection, workspace: UUID) -> None:
    """As `lock`, for writers that agree among themselves: they wait only for the others, and the others for them."""
    statement = f"SELECT {_PLAN}, pg_advisory_xact_lock_shared($1, hashtext($2::text))"
    await connection.execute(statement, _SPACE, str(workspace), timeout=60)


async def lock(connection: asyncpg.Connection, workspace: UUID) -> None:
    """Wait for the workspace's turn; it lasts until the transaction of this connection ends.

    Two workspaces may share a lock by chance of their hashes, which costs time only.
    """
    statement = f"SELECT {_PLAN}, pg_advisory_xact_lock($1, hashtext($2::text))"
    await connection.execute(statement, _SPACE, str(workspace))
