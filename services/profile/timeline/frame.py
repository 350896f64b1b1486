"""What a question about one person's events means once its clock, time zone and range are settled."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from contracts.common import Moment, TableName, Tables, TimeZone, expand_tables
from contracts.workspace import Limits
from services.kit import cursor, times
from services.kit.cursor import Cursor
from services.kit.identity import Blocked
from services.kit.predicates import Scope
from services.kit.service import RequestContext
from services.kit.statements import Query, limits
from services.profile.resources import Resources


class Asked(Protocol):
    """The fields that say which events of a person."""

    @property
    def table(self) -> Tables: ...
    @property
    def from_(self) -> Moment | None: ...
    @property
    def to(self) -> Moment | None: ...
    @property
    def timezone(self) -> TimeZone | None: ...
    @property
    def as_of(self) -> Moment | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Instants are UTC; `start` is None for all history."""

    workspace: UUID
    tables: tuple[TableName, ...]
    timezone: str
    as_of: datetime
    start: datetime | None
    end: datetime
    blocked: Blocked | None
    limits: Limits

    def scope(self, table: TableName) -> Scope:
        """Return where expressions over one table stand."""
        return Scope(
            workspace=self.workspace, tables=(table,), as_of=self.as_of, timezone=self.timezone, blocked=self.blocked
        )


async def settle(resources: Resources, asked: Asked, context: RequestContext, page: Cursor | None = None) -> Frame:
    """Resolve a request's clock, time zone, range and tables; those of the `page` before hold for all pages.

    Raises:
        InvalidRequest: as `services.kit.times.settle`.
        Unavailable: the event tables are not as they should be, or the query service does not answer.
    """
    await resources.schema.passed()
    settings = await resources.workspaces.get(context.workspace)
    found = times.settle(
        settings,
        from_=asked.from_,
        to=asked.to,
        timezone=asked.timezone,
        as_of=asked.as_of,
        now=datetime.now(UTC),
        passed_on=context.now,
        fixed=None if page is None else (cursor.clock(page), page.timezone),
    )
    return Frame(
        workspace=context.workspace,
        tables=expand_tables(asked.table),
        timezone=found.timezone,
        as_of=found.as_of,
        start=found.start,
        end=found.end,
        blocked=Blocked.of(context.workspace, settings.blocked_ids),
        limits=settings.limits,
    )


def query(resources: Resources, context: RequestContext, frame: Frame) -> Query:
    """Return the runner of one request's statements, within the limits of the server and of the workspace."""
    deadline, seconds = context.deadline, frame.limits.max_seconds
    if seconds is not None:
        deadline = min(deadline, asyncio.get_running_loop().time() + seconds)
    return Query(uuid.uuid4().hex, resources.clickhouse, limits(resources.settings, frame.limits), deadline)
