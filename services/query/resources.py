"""What the handlers share: the stores, the settings, and how a request's clock and limits are settled."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.caching import CachePolicy
from contracts.common import TableName, WeekStart, expand_tables
from services.kit import cursor
from services.kit.clickhouse import ClickHouse
from services.kit.cursor import Cursor
from services.kit.postgres import Postgres
from services.kit.schema_gate import SchemaGate
from services.kit.service import RequestContext
from services.kit.settings import Settings
from services.kit.statements import Query, limits
from services.query import frame as frames
from services.query import workspaces
from services.query.engine_gate import EngineGate
from services.query.frame import Analysis, Frame, OfTables, Ranged, Reads
from services.query.sql.engine import SqlEngine
from services.query.sql.history import History
from services.query.sql.slots import Slots


@dataclass(frozen=True, slots=True)
class Resources:
    """Handles of one process."""

    settings: Settings
    clickhouse: ClickHouse
    postgres: Postgres
    schema: SchemaGate
    engine: EngineGate
    sql: SqlEngine
    slots: Slots
    history: History

    async def settle(self, request: OfTables, context: RequestContext, *, page: Cursor | None = None) -> Frame:
        """Resolve a request's clock, time zone, range and tables; those of the `page` before hold for all pages."""
        return await self._settle(request, context, expand_tables(request.table), None, page)

    async def settle_analysis(
        self,
        request: Analysis,
        tables: tuple[TableName, ...],
        context: RequestContext,
        *,
        page: Cursor | None = None,
    ) -> Frame:
        """Resolve an analysis' clock, time zone, week and range; `tables` are those its series name."""
        return await self._settle(request, context, tables, request.week_start, page)

    async def _settle(
        self,
        request: Ranged,
        context: RequestContext,
        tables: tuple[TableName, ...],
        week_start: WeekStart | None,
        page: Cursor | None,
    ) -> Frame:
        await self.schema.passed()
        return frames.settle(
            request,
            context.workspace,
            await workspaces.get(self.postgres, context.workspace),
            tables=tables,
            week_start=week_start,
            now=datetime.now(UTC),
            passed_on=context.now,
            fixed=None if page is None else (cursor.clock(page), page.timezone),
        )

    def query(self, context: RequestContext, frame: Frame) -> Query:
        """Return the runner of one request's statements, within the limits of the server and of the workspace."""
        deadline, seconds = context.deadline, frame.limits.max_seconds
        if seconds is not None:
            deadline = min(deadline, asyncio.get_running_loop().time() + seconds)
        return Query(uuid.uuid4().hex, self.clickhouse, limits(self.settings, frame.limits), deadline)

    def cache_policy(
        self,
        request: Ranged,
        frame: Frame,
        *,
        relative: bool = False,
        resolved: bool = False,
        reads: Reads | None = None,
    ) -> CachePolicy:
        """Return how the answer may be cached, by the settings' times to live; see `frame.cache_policy`."""
        return frames.cache_policy(
            request,
            frame,
            now=datetime.now(UTC),
            ttl=self.settings.cache_ttl_query_seconds,
            closed_ttl=self.settings.cache_ttl_closed_seconds,
            relative=relative,
            resolved=resolved,
            reads=reads,
        )
