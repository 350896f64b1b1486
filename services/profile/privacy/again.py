"""Events of a suppressed person that come in later: a replay, a device that was offline, an id that is linked now."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection
from typing import Final
from uuid import UUID

from services.kit.identity import Blocked
from services.kit.logs import log
from services.profile.ids import signed, unsigned
from services.profile.locks import lock
from services.profile.privacy import events_sql
from services.profile.projection import gathering
from services.profile.resources import Resources

_SECONDS: Final = 60.0
_SOME: Final = "SELECT EXISTS (SELECT FROM profile.suppressions WHERE workspace_id = $1)"
_OWNERS: Final = """
SELECT actor_key, deletion_id FROM profile.suppressions WHERE workspace_id = $1 AND actor_key = ANY ($2::bigint[])
"""
_JOIN: Final = """
INSERT INTO profile.suppressions (workspace_id, actor_key, deletion_id)
SELECT $1, * FROM unnest($2::bigint[], $3::uuid[]) ON CONFLICT DO NOTHING
"""
_OPEN: Final = """
UPDATE profile.deletions d SET done = '{postgres}', completed_at = NULL, actor_keys = (
    SELECT array_agg(DISTINCT key) FROM (
        SELECT unnest(d.actor_keys) AS key
        UNION SELECT actor_key FROM profile.suppressions s WHERE s.deletion_id = d.id) AS keys)
WHERE workspace_id = $1 AND id = ANY ($2::uuid[])
"""


async def noticed(resources: Resources, workspace: UUID, keys: Collection[int]) -> None:
    """Open the deletions of those whom new rows concern (`keys`, 0 … 2^64 - 1) although they were forgotten, also under
    ids that are theirs only since: their rows go once more.

    Raises:
        Unavailable, DeadlineExceeded, ClickHouseError: a store does not answer; ask again.
    """
    async with resources.postgres.connection() as connection:
        if not await connection.fetchval(_SOME, workspace):
            return
    roots = await gathering.related(resources.clickhouse, keys)
    ends = {key: roots.get(key, key) for key in keys}
    async with resources.postgres.connection() as connection:
        rows = await connection.fetch(_OWNERS, workspace, [signed(key) for key in {*ends, *ends.values()}])
    owners = {unsigned(row["actor_key"]): row["deletion_id"] for row in rows}
    deletions = {key: owners.get(key) or owners.get(end) for key, end in ends.items()}
    again = {key: deletion for key, deletion in deletions.items() if deletion is not None}
    if not again or not await _has_rows(resources, workspace, again):
        return  # the id is named on rows of somebody else, say on a device that two people used
    async with resources.postgres.connection() as connection, connection.transaction():
        await lock(connection, workspace)
        await connection.execute(_JOIN, workspace, [signed(key) for key in again], list(again.values()))
        await connection.execute(_OPEN, workspace, list(set(again.values())))
    log(logging.INFO, "events of a forgotten person came in again", deletions=len(set(again.values())))


async def _has_rows(resources: Resources, workspace: UUID, keys: Collection[int]) -> bool:
    settings = await resources.workspaces.get(workspace)
    blocked = Blocked.of(workspace, settings.blocked_ids)
    result = await resources.clickhouse.query(
        events_sql.some(workspace, keys, blocked), query_id=uuid.uuid4().hex, timeout=_SECONDS
    )
    return bool(result.data and result.data[0])
