"""No query runs before the event tables were held against the contract: a refusal is better than a wrong answer."""

from __future__ import annotations

import asyncio
import logging

from contracts.errors import Unavailable
from services.kit.clickhouse import ClickHouse
from services.kit.event_schema_check import SchemaError, check
from services.kit.logs import log

_AGAIN_SECONDS = 5.0
"""A failed check is kept this long: the operator's statement takes effect without a restart."""


class SchemaGate:
    """Checks at the first need and until it succeeds; from then on it costs nothing."""

    def __init__(self, clickhouse: ClickHouse, cluster: str) -> None:
        self._clickhouse, self._cluster = clickhouse, cluster
        self._lock = asyncio.Lock()
        self._passed = False
        self._refused_until = 0.0

    async def passed(self) -> None:
        """Return once the tables are as they must be.

        Raises:
            Unavailable: they are not (the log lists each difference with the statement to run), or ClickHouse is away.
        """
        if self._passed:
            return
        async with self._lock:
            if self._passed:
                return
            now = asyncio.get_running_loop().time()
            if now >= self._refused_until:
                try:
                    for warned in await check(self._clickhouse, cluster=self._cluster):
                        log(logging.WARNING, "times were rewritten at insert", reason=str(warned))
                except SchemaError as error:
                    self._refused_until = now + _AGAIN_SECONDS
                    log(logging.ERROR, "the event tables are not as they must be", reason=str(error))
                else:
                    self._passed = True
                    return
            raise Unavailable(
                "the event tables are not as they must be: the service's log lists each difference", retry_after=5
            )
