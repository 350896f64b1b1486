"""Dictionaries reload when their LIFETIME is over, as on a server: the embedded engine loads them once only."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from .engine import Engine
from .errors import ServerError
from .tokens import quote

INTERVAL = 0.5
"""Seconds between looks at the dictionaries' ages."""

_LOADED = """
SELECT database, name, lifetime_max, toUnixTimestamp(last_successful_update_time), startsWith(source, 'ClickHouse')
FROM system.dictionaries WHERE status IN ('LOADED', 'LOADED_AND_RELOADING', 'FAILED_AND_RELOADING') AND lifetime_max > 0
"""

log = logging.getLogger("clickhouse.dictionaries")


async def keep_fresh(engine: Engine) -> None:
    """Until cancelled, reload each loaded dictionary whose time is up.

    One that reads the engine's own tables is left alone while no statement wrote anything since its last reload.
    """
    reloaded: dict[tuple[str, str], int] = {}
    idle_since = -1
    while True:
        await asyncio.sleep(INTERVAL)
        if engine.writes == idle_since:
            continue
        writes = engine.writes
        try:
            rows = (await engine.control(_LOADED, "JSONCompactEachRow")).splitlines()
            waiting = False
            for database, name, lifetime, updated, local in map(json.loads, rows):
                key = (database, name)
                if local and reloaded.get(key) == writes:
                    continue
                if time.time() - int(updated) < int(lifetime):
                    waiting = True
                    continue
                await engine.control(f"SYSTEM RELOAD DICTIONARY {quote(database)}.{quote(name)}")
                reloaded[key] = writes
                waiting = waiting or not local
            idle_since = -1 if waiting else writes
        except ServerError as error:
            log.warning("a dictionary did not reload: %s", error.message)
