"""A workspace with many rows, and what the engine is doing for it."""

from __future__ import annotations

import asyncio
import os
import time
from uuid import UUID, uuid4

from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings
from tests.api import WRITING

ROWS = int(os.environ.get("CDP_STREAM_ROWS", "300000"))
"""Rows of the large stream; 5,000,000 for the full check."""
_SLICE = 250_000
_PER_MONTH = int(os.environ.get("CDP_STREAM_MONTH_ROWS", "250000"))
_FIRST_MONTH = "2020-01-01"

_FILL = """
INSERT INTO cdp.events_track
    (workspace_id, message_id, user_id, anonymous_id, timestamp, received_at, event, properties, context)
SELECT '{workspace}', concat('m', leftPad(toString(number), 9, '0')),
    if(number % 3 = 0, concat('u', toString(number % 20000)), ''), concat('a', toString(number % 20000)),
    addSeconds(addMonths(toDateTime64('{first}', 3, 'UTC'), intDiv(number, {per_month})), number % 2000000)
        AS timestamp,
    timestamp, concat('E', toString(number % 20)),
    concat('{{"n":', toString(number), ',"price":', toString(number % 1000), '.5,"text":"',
        hex(sipHash128(number)), '"}}'),
    concat('{{"page":{{"path":"/p/', toString(number % 500), '"}},"locale":"de-DE"}}')
FROM numbers({start}, {count})
"""


async def fill(clickhouse: ClickHouse, workspace: UUID, rows: int) -> None:
    """Write `rows` track events, numbered by properties.n, of some 350 bytes of JSON each."""
    for start in range(0, rows, _SLICE):
        statement = _FILL.format(
            workspace=workspace,
            first=_FIRST_MONTH,
            per_month=_PER_MONTH,
            start=start,
            count=min(_SLICE, rows - start),
        )
        await clickhouse.execute(statement, settings=WRITING, timeout=120)


_QUIET_SECONDS = 3.0


class Engine:
    """Looks at what the engine runs."""

    def __init__(self, settings: Settings) -> None:
        self.handle = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=2)

    async def queries(self, workspace: UUID) -> int:
        """Return how many statements about a workspace run now."""
        result = await self.handle.query(
            "SELECT count() FROM system.processes "
            f"WHERE position(query, '{workspace}') > 0 AND position(query, 'system.processes') = 0",
            query_id=uuid4().hex,
            timeout=10,
        )
        return int(result.data[0][0])

    async def seconds_until(self, workspace: UUID, *, running: bool, within: float) -> float:
        """Wait until something, or nothing, runs for a workspace; return the seconds that took.

        Raises:
            AssertionError: it took longer than `within`.
        """
        begun = time.monotonic()
        while bool(await self.queries(workspace)) != running:
            waited = time.monotonic() - begun
            assert waited < within, f"the query {'did not start' if running else 'still runs'} after {waited:.1f} s"
        return time.monotonic() - begun

    async def settled(self, workspace: UUID, *, within: float) -> None:
        """Wait until nothing has run for a workspace for three seconds: profiles are made of what was written.

        Raises:
            AssertionError: it took longer than `within`.
        """
        begun = quiet = time.monotonic()
        while time.monotonic() - quiet < _QUIET_SECONDS:
            if await self.queries(workspace):
                quiet = time.monotonic()
            assert time.monotonic() - begun < within, "the profiles of what was written are still being made"
            await asyncio.sleep(0.05)
