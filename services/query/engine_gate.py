"""No analysis runs on an engine that computes differently: a refusal is better than a wrong answer.

Funnels rest on array functions with particular manners (docs/funnel.md, "How"); they are asked once for known answers,
and windowFunnel's `strict_once`, the one mode that follows "one event serves one step", for known depths.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Any, Final

from contracts.errors import Unavailable
from services.kit.clickhouse import ClickHouse, ClickHouseError
from services.kit.logs import log

_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 5.0
_HISTORIES: Final = (
    "[[(1, 1), (2, 0)], [(1, 1), (2, 1), (3, 0)], [(1, 1), (2, 1)], [(1, 0), (2, 1)], [(1, 1), (2, 1), (12, 0)]]"
)
"""Of five actors: (time, whether it is an `a` rather than a `b`)."""
PROBES: Final[Sequence[tuple[str, str, tuple[Any, ...]]]] = (
    (
        "windowFunnel in the mode strict_once",
        "SELECT groupArray(depth) FROM (SELECT actor, "
        "windowFunnel(10, 'strict_once')(toUInt64(event.1), event.2 = 1, event.2 = 1, event.2 = 0) AS depth FROM "
        f"(SELECT actor, arrayJoin(events) AS event FROM (SELECT number AS actor, {_HISTORIES}[number + 1] AS events "
        "FROM numbers(5))) GROUP BY actor ORDER BY actor)",
        ([1, 3, 2, 1, 2],),
    ),
    (
        "arrayFill and arrayReverseFill",
        "SELECT arrayFill(e -> e > 2, [1, 3, 1, 5, 2]), arrayReverseFill(e -> e > 2, [1, 3, 1, 5, 2]), "
        "arrayFill((f, e) -> e = 1, [7, 8, 9], [0, 1, 0]), arrayReverseFill((f, e) -> e = 1, [7, 8, 9], [0, 1, 0])",
        ([1, 3, 3, 5, 5], [3, 3, 5, 5, 2], [7, 8, 8], [8, 8, 9]),
    ),
    (
        "shifts of negative numbers, roundDown and places in arrays",
        "SELECT bitShiftRight(toInt64(-33), 5), bitAnd(toInt64(-30), 31), roundDown(toInt64(-5), [toInt64(-7), 3]), "
        "indexOf([0, 2, 2], 2)",
        (-2, 2, -7, 2),
    ),
    (
        "quantilesExactInclusive",
        "SELECT quantilesExactInclusiveIf(0.5, 0.9)(n, n > 0) FROM (SELECT arrayJoin([0, 10, 20, 40, 50]) AS n)",
        ([30.0, 47.0],),
    ),
)
"""What it is called, a statement of one row, and the row."""


class EngineGate:
    """Checks at the first need and until it succeeds; from then on it costs nothing."""

    def __init__(self, clickhouse: ClickHouse, probes: Sequence[tuple[str, str, tuple[Any, ...]]] = PROBES) -> None:
        self._clickhouse, self._probes = clickhouse, probes
        self._lock = asyncio.Lock()
        self._passed = False
        self._refused: Unavailable | None = None
        self._refused_until = 0.0

    async def passed(self) -> None:
        """Return once the engine is known to compute as it must.

        Raises:
            Unavailable: it does not (the message says what), or ClickHouse is away.
            DeadlineExceeded, LimitExceeded, TooManyRequests: it has no time for the question now.
        """
        if self._passed:
            return
        async with self._lock:
            if self._passed:
                return
            now = asyncio.get_running_loop().time()
            if self._refused is not None and now < self._refused_until:
                raise self._refused
            for name, statement, expected in self._probes:
                found = await self._ask(statement)
                if found != expected:
                    self._refused_until = now + _AGAIN_SECONDS
                    self._refused = Unavailable(
                        f"the ClickHouse server computes {name} differently: take a later version", retry_after=5
                    )
                    log(logging.ERROR, "the engine is refused", what=name, found=str(found), expected=str(expected))
                    raise self._refused
            self._passed = True

    async def _ask(self, statement: str) -> tuple[Any, ...] | str:
        """Return the row, or why there is none."""
        try:
            result = await self._clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=_SECONDS)
        except ClickHouseError as error:
            return str(error)
        return tuple(column[0] for column in result.data)
