"""Generated events for the measurements of the analyses: seeded, event types and times independent of each other."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from services.kit import identity, sql
from services.kit.clickhouse import ClickHouse

WORKSPACE: Final = UUID("00000000-0000-4000-8000-00000000be55")
NAMES: Final = ("App Opened", "Product Viewed", "Product Added", "Checkout Started", "Order Completed")
START: Final = "toDateTime64('2026-01-01', 3, 'UTC')"
DAYS: Final = 90
END: Final = "2026-04-01"
EVENTS_AN_ACTOR: Final = 50
_SECONDS: Final = 3_600.0
_CHUNK: Final = 2_500_000
_WRITING: Final = {"max_partitions_per_insert_block": 0}


def rows_sql(start: int, count: int, actors: int, *, late: bool = False) -> str:
    """Return SQL of `count` events: 30 % of the rows anonymous, most of whose devices are linked by another row.

    `late`: of the last day only.
    """
    moment = f"{START} + toIntervalMillisecond(sipHash64(number, 2) % {DAYS * 86_400_000})"
    if late:
        moment = f"{START} + toIntervalMillisecond({(DAYS - 1) * 86_400_000} + sipHash64(number, 2) % 86400000)"
    names = ", ".join(map(sql.string, NAMES))
    return f"""
        SELECT {sql.uuid(WORKSPACE)}, lower(hex(sipHash128(number))) AS message_id,
            if(sipHash64(number, 3) % 10 < 3, '', concat('user-', toString(actor))) AS user_id,
            if(user_id != '' AND sipHash64(number, 4) % 5 > 0, '', concat('device-', toString(actor))) AS anonymous_id,
            {moment} AS timestamp, timestamp + toIntervalSecond(5) AS received_at,
            [{names}][1 + sipHash64(number) % {len(NAMES)}] AS event,
            concat('{{"revenue":', toString(sipHash64(number, 5) % 20000 / 100), ',"country":"',
                ['DE', 'FR', 'US', 'JP', 'BR'][1 + actor % 5], '"}}') AS properties,
            '{{}}' AS context
        FROM (SELECT number, sipHash64(number, 1) % {actors} AS actor FROM numbers({start}, {count}))"""


async def fill(clickhouse: ClickHouse, rows: int) -> None:
    """Insert the events and merge them."""
    actors = max(rows // EVENTS_AN_ACTOR, 1)
    for start in range(0, rows, _CHUNK):
        await _insert(clickhouse, rows_sql(start, min(_CHUNK, rows - start), actors))
    await clickhouse.execute("OPTIMIZE TABLE cdp.events_track FINAL", timeout=_SECONDS)
    await identity.reload_identity(clickhouse)


async def freshen(clickhouse: ClickHouse, rows: int) -> None:
    """Add 1 % of the last day in four parts that stay as they are, a fifth of their rows sent twice."""
    await clickhouse.execute("SYSTEM STOP MERGES cdp.events_track", timeout=_SECONDS)
    actors, part = max(rows // EVENTS_AN_ACTOR, 1), max(rows // 400, 1)
    for number in range(4):
        await _insert(clickhouse, rows_sql(rows + number * part * 4 // 5, part, actors, late=True))
    await identity.reload_identity(clickhouse)


async def _insert(clickhouse: ClickHouse, rows: str) -> None:
    columns = "workspace_id, message_id, user_id, anonymous_id, timestamp, received_at, event, properties, context"
    await clickhouse.execute(f"INSERT INTO cdp.events_track ({columns}) {rows}", settings=_WRITING, timeout=_SECONDS)
