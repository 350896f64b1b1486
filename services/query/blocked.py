"""A workspace's blocked ids where the identity dictionary reads them: `cdp.identity_blocked`, by key."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.kit import identity, sql
from services.kit.clickhouse import ClickHouse
from services.kit.identity import Blocked

_TABLE: Final = "cdp.identity_blocked"
_COLUMNS: Final = ("workspace_id", "actor_key", "undone", "version")
_SECONDS: Final = 10.0


async def put(clickhouse: ClickHouse, workspace: UUID, ids: Sequence[str], *, cluster: str) -> None:
    """Let exactly these ids be blocked. Doing it again does no harm, and mends what was left half done.

    Raises:
        As `ClickHouse.execute`.
    """
    result = await clickhouse.query(
        f"SELECT actor_key FROM {_TABLE} FINAL WHERE workspace_id = {sql.uuid(workspace)} AND NOT undone",
        query_id=uuid.uuid4().hex,
        timeout=_SECONDS,
    )
    present = {key for (key,) in result.rows()}
    wanted = set(Blocked(workspace, tuple(ids)).keys)
    if present == wanted:
        return
    version = time.time_ns()
    rows = [(workspace, key, 0, version) for key in sorted(wanted - present)]
    rows += [(workspace, key, 1, version) for key in sorted(present - wanted)]
    await clickhouse.insert(_TABLE, _COLUMNS, list(zip(*rows, strict=True)))
    await identity.reload_identity(clickhouse, cluster=cluster)
