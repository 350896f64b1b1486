"""A request's statement once the walls have let it through, with everything it runs with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from contracts.errors import Conflict
from contracts.sql import SqlStatement
from services.kit import cost, timerange
from services.kit.clickhouse import ClickHouseError, QueryStopped, RawStream
from services.kit.identity import Blocked
from services.kit.service import RequestContext
from services.kit.statements import limits
from services.query import workspaces
from services.query.resources import Resources
from services.query.sql.engine import settings_of
from services.query.sql.engine_check import check_ast, check_tree
from services.query.sql.explained import explained
from services.query.sql.prepare import prepare
from services.query.sql.rewrite import Rewritten
from services.query.sql.slots import share

_READINGS: Final = (("AST", "-A", check_ast), ("QUERY TREE", "-Q", check_tree))
"""What the engine is asked about a statement, under which id, and what holds its answer against what was written."""
DESCRIBING: Final = "-D"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One statement that has passed the checks. `name`: its id in the engine; `deadline`: loop time; `as_of`: its
    clock; `tree`: how the engine resolves it."""

    workspace: UUID
    text: str
    written: Rewritten
    tree: Sequence[str]
    settings: dict[str, Any]
    query_id: UUID
    name: str
    deadline: float
    as_of: datetime

    @property
    def timeout(self) -> float:
        """Seconds left."""
        return max(self.deadline - asyncio.get_running_loop().time(), 0.001)


def name_of(workspace: UUID, query_id: UUID) -> str:
    """Return a query's id in the engine: nobody can name another workspace's."""
    return f"sql-{workspace.hex}-{query_id.hex}"


async def checked(
    resources: Resources, request: SqlStatement, context: RequestContext, query_id: UUID, *, rows: int
) -> Run:
    """Let a statement through the first two walls; `rows`: as many as its result may have, 0 for all.

    Raises:
        InvalidRequest: the statement, a parameter, the clock or the time zone; names the construct and its place.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    await resources.schema.passed()
    await resources.sql.passed()
    workspace = await workspaces.get(resources.postgres, context.workspace)
    timezone = request.timezone or workspace.timezone
    timerange.check_timezone(timezone, pointer="/timezone")
    as_of = context.now or workspace.clock or datetime.now(UTC)
    if request.as_of is not None:
        as_of = timerange.resolve_moment(request.as_of, as_of=as_of, timezone=timezone, pointer="/as_of")
    blocked = Blocked.of(context.workspace, workspace.blocked_ids)
    written = await asyncio.to_thread(prepare, request.query, context.workspace, blocked, request.parameters, as_of)
    now = asyncio.get_running_loop().time()
    seconds = context.deadline - now
    if workspace.limits.max_seconds is not None:
        seconds = min(seconds, workspace.limits.max_seconds)
    bounds = limits(resources.settings, workspace.limits) | share(resources.settings)
    settings = settings_of(bounds, context.workspace, timezone, seconds, rows)
    name = name_of(context.workspace, query_id)
    read: list[list[str]] = []
    with meaning(request.query, settings):
        for what, step, check in _READINGS:
            left = max(now + seconds - asyncio.get_running_loop().time(), 0.001)
            lines = await resources.sql.explain(
                what,
                written.sql,
                workspace=context.workspace,
                settings=settings,
                query_id=name + step,
                timeout=left,
            )
            check(lines, written)
            read.append(lines)
    return Run(
        workspace=context.workspace,
        text=request.query,
        written=written,
        tree=read[-1],
        settings=settings,
        query_id=query_id,
        name=name,
        deadline=now + seconds,
        as_of=as_of,
    )


def names_of(workspace: UUID, query_id: UUID) -> list[str]:
    """Return the ids of all that may run in the engine for a query: reading it runs its sub-queries that are values."""
    name = name_of(workspace, query_id)
    return [name, *(name + step for _, step, _ in _READINGS), name + DESCRIBING]


def mark(name: str) -> str:
    """Return what a statement's text begins with, so that it is found while it runs (`progress`)."""
    return f"/* {name} */"


def stream(
    resources: Resources, run: Run, statement: str, format_: str, *, step: str = ""
) -> AbstractAsyncContextManager[RawStream]:
    """Open the result of a statement that has passed, as `SqlEngine.stream`; `step`: of one before that itself."""
    return resources.sql.stream(
        f"{mark(run.name + step)} {statement}",
        format_,
        workspace=run.workspace,
        settings=run.settings,
        query_id=run.name + step,
        timeout=run.timeout,
    )


@contextmanager
def meaning(text: str, settings: dict[str, Any]) -> Iterator[None]:
    """Say what an error of the engine means for the statement's author.

    Raises:
        CdpError: in place of what the engine says.
    """
    try:
        with cost.explained(settings):
            yield
    except QueryStopped as error:
        raise Conflict("the statement was cancelled") from error
    except ClickHouseError as error:
        raise explained(error, text) from error
