"""Places for statements of custom SQL, and the wait for one: a workspace's many do not hold up another's few."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from uuid import UUID

from contracts.errors import Conflict, TooManyRequests
from services.kit.settings import Settings
from services.query.sql.line import Line

WAITING: Final = 64
"""Requests that may wait for a place in one process."""
WORKSPACE_WAITING: Final = 20
"""Those of one workspace."""
_LEAST_SECONDS: Final = 0.1
"""With less time left than this nothing can be answered any more."""
_RETRY_SECONDS: Final = 2
_NICE: Final = 10
"""Of the engine's threads, where it may (CAP_SYS_NICE): a tenth of a core that others want, all of an idle one."""


def share(settings: Settings) -> dict[str, Any]:
    """Return the ClickHouse settings that keep a statement from taking the whole engine."""
    return {"max_threads": settings.sql_threads, "os_threads_nice_value_query": _NICE}


class Slots:
    """The places of this process (`sql_concurrency`, of one workspace `sql_workspace_concurrency`)."""

    def __init__(self, settings: Settings) -> None:
        self._each = settings.sql_workspace_concurrency
        self._line: Line[asyncio.Future[None]] = Line(settings.sql_concurrency, self._each, WAITING, WORKSPACE_WAITING)
        self._named: defaultdict[tuple[UUID, UUID], set[asyncio.Future[None]]] = defaultdict(set)

    @asynccontextmanager
    async def take(self, workspace: UUID, deadline: float, query_id: UUID | None = None) -> AsyncIterator[None]:
        """Wait for a place, in turn with other workspaces, and hold it. Whoever is cancelled leaves the line.

        `deadline`: the loop time of the request's end.

        Raises:
            TooManyRequests: the line is full, or the time was over before a place was free.
            Conflict: it was withdrawn.
        """
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._line.join(workspace, ticket):
            raise TooManyRequests(
                f"too many statements wait: a workspace runs {self._each} at once", retry_after=_RETRY_SECONDS
            )
        try:
            self._admit()
            with self._called(ticket, workspace, query_id):
                await _admitted(ticket, deadline)
            yield
        finally:
            self._line.leave(workspace, ticket)
            self._admit()

    def withdraw(self, workspace: UUID, query_id: UUID) -> None:
        """Let whoever waits here for a place for this statement wait no more."""
        for ticket in self._named.get((workspace, query_id), ()):
            if not ticket.done():
                ticket.set_exception(Conflict("the statement was cancelled"))

    @contextmanager
    def _called(self, ticket: asyncio.Future[None], workspace: UUID, query_id: UUID | None) -> Iterator[None]:
        """Let a ticket be found by its statement's id."""
        if query_id is None or ticket.done():
            yield
            return
        key = workspace, query_id
        self._named[key].add(ticket)
        try:
            yield
        finally:
            self._named[key].discard(ticket)
            if not self._named[key]:
                del self._named[key]

    def _admit(self) -> None:
        for ticket in self._line.admit():
            if not ticket.done():  # one whose task was cancelled just now gives the place back as it ends
                ticket.set_result(None)


async def _admitted(ticket: asyncio.Future[None], deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline - _LEAST_SECONDS):
            await ticket
    except TimeoutError as error:
        raise TooManyRequests("no place was free in the time given", retry_after=_RETRY_SECONDS) from error
