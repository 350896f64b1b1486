"""A page of profiles: which statements find it, so that neither a rare value takes long nor a common one.

Of a value that most profiles have, the first are found by going through a few in the order. Through an index up to
`BOUND` profiles are gathered and sorted, which finds and counts a rare value. For what lies between, more are gone
through, and when these hold too few all are gathered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from services.kit.postgres import Postgres
from services.profile.search.session import TooSlow, patience, reading
from services.profile.search.statements import Statement, Statements

BOUND: Final = 10_000
"""Profiles counted when the count is bounded."""
_GLANCE: Final = 10
"""Profiles gone through for each that is wanted, before any index is asked; of words a fifth, and of `BOUND`, too."""
_WINDOW: Final = 50_000
"""Profiles gone through when there are more than `BOUND`."""
_COUNTING: Final = 1.0
"""Seconds that a bounded count may take."""
_CHUNK: Final = 500
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """`total` of all pages, None when this page did not count; at least so many when not `exact`."""

    rows: Sequence[Row]
    total: int | None = None
    exact: bool = False


async def page(postgres: Postgres, statements: Statements, limit: int, seconds: float) -> Page:
    """Return the first `limit` profiles of an order, and their number when it comes for nothing.

    Raises:
        TooSlow: it takes longer than `seconds`.
    """
    async with reading(postgres, seconds) as connection:
        if statements.patterns:
            whole = statements.gathered(None, None) if statements.indexed else statements.ordered(None, None)
            return Page(await _tested(connection, whole, limit, seconds))
        if not statements.indexed:
            return Page(await _fetch(connection, statements.ordered(limit, None), seconds))
        if statements.sorted:
            glance, bound = (_GLANCE // 5, BOUND // 5) if statements.words else (_GLANCE, BOUND)
            rows = await _fetch(connection, statements.ordered(limit, limit * glance), seconds)
            if len(rows) == limit:
                return Page(rows)
            rows = await _fetch(connection, statements.gathered(limit, bound), seconds)
            if rows[0]["total"] <= bound:
                return _counted(rows)
            rows = await _fetch(connection, statements.ordered(limit, _WINDOW), seconds)
            if len(rows) == limit:
                return Page(rows, BOUND if bound == BOUND else None)
        return _counted(await _fetch(connection, statements.gathered(limit, None), seconds))


async def total(postgres: Postgres, statements: Statements, seconds: float, *, exact: bool) -> tuple[int, bool]:
    """Count all profiles, if not `exact` then up to `BOUND` and for a second: (how many at least, whether exactly).

    Raises:
        TooSlow: counting exactly takes longer than `seconds`.
    """
    if statements.patterns:
        return await _tested_total(postgres, statements, seconds, exact=exact)
    allowed = seconds if exact else min(seconds, _COUNTING)
    try:
        async with reading(postgres, allowed) as connection:
            counted = statements.counted(None if exact else BOUND)
            found = int(await connection.fetchval(counted.sql, *counted.values, timeout=patience(allowed)))
    except TooSlow:
        if exact:
            raise
        return 0, False
    return (found, True) if exact or found <= BOUND else (BOUND, False)


async def _tested_total(postgres: Postgres, statements: Statements, seconds: float, *, exact: bool) -> tuple[int, bool]:
    loop = asyncio.get_running_loop()
    until = loop.time() + (seconds if exact else min(seconds, _COUNTING))
    statement, found = statements.unordered(), 0
    try:
        async with reading(postgres, until - loop.time()) as connection:
            async for row in connection.cursor(statement.sql, *statement.values, prefetch=_CHUNK):
                found += passes(statement, row)
                if not exact and found > BOUND:
                    return BOUND, False
                if loop.time() > until:
                    raise TooSlow
    except TooSlow:
        if exact:
            raise
        return found, False
    return found, True


def passes(statement: Statement, row: Row) -> bool:
    """Tell whether a row of a statement counts."""
    return statement.test is None or statement.test([row[f"x{place}"] for place in range(statement.extras)])


async def _tested(connection: asyncpg.Connection, statement: Statement, limit: int, seconds: float) -> list[Row]:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    rows: list[Row] = []
    async for row in connection.cursor(statement.sql, *statement.values, prefetch=_CHUNK, timeout=patience(seconds)):
        if row["id"] is not None and passes(statement, row):
            rows.append(row)
            if len(rows) == limit:
                break
        if loop.time() > until:
            raise TooSlow
    return rows


async def _fetch(connection: asyncpg.Connection, statement: Statement, seconds: float) -> Sequence[Row]:
    rows: Sequence[Row] = await connection.fetch(statement.sql, *statement.values, timeout=patience(seconds))
    return rows


def _counted(rows: Sequence[Row]) -> Page:
    """Return the page of a statement that gathered all: without profiles it has one row, which tells their number."""
    return Page([row for row in rows if row["id"] is not None], rows[0]["total"], exact=True)
