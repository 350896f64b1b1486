"""Keeping `events_by_actor`, from which people are gathered, what the event tables say."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from contracts.common import TABLES
from services.kit.clickhouse import ClickHouse
from services.kit.logs import log
from services.profile.projection import second_sql
from services.profile.projection.second_sql import Rows

SECONDS: Final = 600.0
"""For a statement that goes through a workspace's events, or removes some."""
_PATIENCE_SECONDS: Final = 5.0
"""So long after an event could be seen its view has written, or failed."""
_PAUSE_SECONDS: Final = 0.05
_ROWS: Final = 500_000
"""About as many are compared at once: their keys are held in memory."""
_KEYS: Final = 1 << 64
_SETTINGS: Final = {"max_partitions_per_insert_block": 0, "insert_deduplicate": 0}
_REMOVING: Final = {"allow_nondeterministic_mutations": 1}


async def complete(clickhouse: ClickHouse, rows: Sequence[Rows]) -> None:
    """Return when the second table has these rows, new ones; those that a view does not bring are inserted again.

    Raises:
        As `ClickHouse.execute`: the views may still fail.
    """
    until = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while await _some(clickhouse, second_sql.missing(rows)):
        if asyncio.get_running_loop().time() >= until:
            log(logging.WARNING, "a view has not brought all events: they are inserted again")
            for each in rows:
                await clickhouse.execute(second_sql.again(each), settings=_SETTINGS, timeout=SECONDS)
            return
        await asyncio.sleep(_PAUSE_SECONDS)


async def settle(clickhouse: ClickHouse, workspace: UUID, cluster: str) -> None:
    """Make the second table what the event tables say of a workspace: whatever was removed from one, or never came.

    Raises:
        As `ClickHouse.execute`.
    """
    result = await clickhouse.query(second_sql.differing(workspace), query_id=uuid.uuid4().hex, timeout=SECONDS)
    for source, month, number in result.rows():
        table = TABLES[TABLES.index(source.decode())]
        for keys in _ranges(number):
            rows = second_sql.part(table, workspace, month, keys)
            if await _some(clickhouse, second_sql.missing([rows])):
                await clickhouse.execute(second_sql.again(rows), settings=_SETTINGS, timeout=SECONDS)
            if await _some(clickhouse, second_sql.surplus(rows)):
                removed = second_sql.removed(rows, month, cluster)
                await clickhouse.execute(removed, settings=_REMOVING, timeout=SECONDS)
                log(logging.INFO, "events that were removed are gone from events_by_actor", table=table, month=month)


def _ranges(rows: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of all keys (first, last), each with about as many of these rows as are compared at once."""
    number = -(-rows // _ROWS)
    for index in range(number):
        yield _KEYS * index // number, _KEYS * (index + 1) // number - 1


async def _some(clickhouse: ClickHouse, statement: str) -> bool:
    result = await clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=SECONDS)
    return any(result.rows())
