"""A transaction that reads profiles, and no longer than it may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from contracts.errors import DeadlineExceeded, LimitExceeded
from services.kit.postgres import Postgres
from services.kit.service import RequestContext

_SETTINGS: Final = """
SELECT set_config('statement_timeout', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)
"""
"""A plan that knows the values: lists of them are hashed, and words find the trigram index. In one process: starting
others takes as long as a search may."""
_SLACK: Final = 5.0
"""Seconds more than the server's own time-out before the connection is given up."""


class TooSlow(Exception):
    """A statement took longer than it may."""


@asynccontextmanager
async def reading(postgres: Postgres, seconds: float) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection whose statements take at most so many seconds each.

    Raises:
        TooSlow: one took longer. LimitExceeded: a trait is nested too deep for PostgreSQL's stack.
        Unavailable: PostgreSQL does not answer.
    """
    try:
        async with postgres.connection() as connection, connection.transaction(readonly=True):
            await connection.execute(_SETTINGS, str(max(1, round(seconds * 1000))))
            yield connection
    except asyncpg.QueryCanceledError as error:
        raise TooSlow from error
    except asyncpg.StatementTooComplexError as error:
        raise LimitExceeded("some profile has traits nested too deep to be compared as text") from error


def patience(seconds: float) -> float:
    """Return the seconds to wait for a statement that the server itself stops after so many."""
    return seconds + _SLACK


@asynccontextmanager
async def explained(context: RequestContext, seconds: float) -> AsyncIterator[None]:
    """Say of a statement that took longer than `seconds` what would help.

    Raises:
        LimitExceeded: it took all the time one may take. DeadlineExceeded: the caller gave less.
    """
    try:
        yield
    except TooSlow as error:
        if context.remaining() < 1:
            raise DeadlineExceeded("the time given for the answer is over") from error
        raise LimitExceeded(
            f"searching took longer than {seconds:g} s (ANALYTICS_PROFILES_SEARCH_SECONDS): add what an index answers: "
            "eq or in of a trait, or text with words of three characters; or sort by last_seen_at"
        ) from error
