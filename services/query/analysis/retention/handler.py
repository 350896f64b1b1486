"""The operations `query.retention` and `query.retention_actors`."""

from __future__ import annotations

from datetime import datetime

from contracts.analysis import ActorsPage, Group
from contracts.errors import InvalidRequest
from contracts.retention import RetentionActorsRequest, RetentionRequest
from services.kit import cursor, timerange
from services.kit.cursor import Cursor
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis.delivery import actors_table, delivered
from services.query.analysis.listing import actors_page
from services.query.analysis.nested import under
from services.query.analysis.retention import arrays, masks
from services.query.analysis.retention.answer import Cells, result_of, table_of
from services.query.analysis.retention.checks import check, check_size
from services.query.analysis.retention.groups import Groups, ranked
from services.query.analysis.retention.plan import Plan, planned, series_of
from services.query.analysis.source import tables_of
from services.query.analysis.subject import subject_of
from services.query.frame import Frame, depends_on_clock
from services.query.resources import Resources

_WHOLE = Groups((), folded=False)


async def retention(resources: Resources, request: RetentionRequest, context: RequestContext) -> Answer:
    """Answer `query.retention`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    plan = await _settled(resources, request, context, page=None)
    query = resources.query(context, plan.frame)
    groups, shown = _WHOLE, list[Group | None]([None])
    cells: Cells = {}
    if not plan.is_empty:
        if request.breakdown is not None:
            groups = await ranked(query, plan)
        cells = await _cells(query, plan, groups)
    if request.breakdown is not None:
        shown = [*groups.named()]
    result = result_of(plan, shown, cells, query.facts(plan.frame.as_of))
    cache = resources.cache_policy(
        request,
        plan.frame,
        relative=plan.grows or _asks_of_the_clock(request, plan.frame),
        resolved=plan.subject.by in ("actor", "session"),
        reads=plan.reads,
    )
    return delivered(context, result, lambda: table_of(plan, result), cache=cache)


async def retention_actors(resources: Resources, request: RetentionActorsRequest, context: RequestContext) -> Answer:
    """Answer `query.retention_actors`.

    Raises:
        As `retention`.
    """
    after = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await _settled(resources, request.query, context, page=after)
    row = _row_of(request, plan)
    query = resources.query(context, plan.frame)
    selection = await _selection(query, plan, request, row)
    page: ActorsPage = await actors_page(
        query, plan.frame, plan.subject, request, selection=selection, limit=request.limit, after=after
    )
    cache = resources.cache_policy(request.query, plan.frame, relative=True, resolved=True, reads=plan.reads)
    return delivered(context, page, lambda: actors_table(page), cache=cache)


async def _settled(
    resources: Resources, request: RetentionRequest, context: RequestContext, *, page: Cursor | None
) -> Plan:
    check(request)
    tables = tables_of(series_of(request))
    subject = subject_of(request.analyse_by, tables)
    frame = await resources.settle_analysis(request, tables, context, page=page)
    plan = planned(request, frame, subject)
    check_size(plan)
    return plan


async def _cells(query: Query, plan: Plan, groups: Groups) -> Cells:
    if plan.request.breakdown is not None and not groups.shown:
        return {}
    if masks.suits(plan):
        result = await query.run(masks.cells_sql(plan))
        return {(0, row, k): (count, 0.0) for row, *counts in result.rows() for k, count in enumerate(counts)}
    result = await query.run(arrays.cells_sql(plan, groups))
    return {(group, row, k): (count, total) for row, group, k, count, total in result.rows()}


async def _selection(query: Query, plan: Plan, request: RetentionActorsRequest, row: int) -> str:
    if masks.suits(plan):
        return masks.actors_sql(plan, row, request.k, retained=request.retained)
    groups, place = _WHOLE, 0
    if request.group is not None:
        groups = await ranked(query, plan)
        place = groups.place(request.group)
    return arrays.actors_sql(plan, groups, row, request.k, place, retained=request.retained)


def _row_of(request: RetentionActorsRequest, plan: Plan) -> int:
    """Return the number of the row that is asked for.

    Raises:
        InvalidRequest: there is no such row, column or group, or the cell is null.
    """
    frame = plan.frame
    begin: datetime = timerange.resolve_moment(request.row, as_of=frame.as_of, timezone=frame.timezone, pointer="/row")
    rows = list(plan.bounds[: plan.rows])
    if begin not in rows:
        raise InvalidRequest.at("/row", "no row begins then: send the `start` of one")
    row = rows.index(begin)
    if request.k >= len(plan.spans):
        raise InvalidRequest.at("/k", f"there are only {len(plan.spans)} columns")
    if not plan.has_begun(row, request.k):
        raise InvalidRequest.at("/k", "this cell has not begun: nobody is known to be in it or not")
    if (request.group is None) != (request.query.breakdown is None):
        raise InvalidRequest.at("/group", "goes with a breakdown, and a breakdown with it")
    return row


def _asks_of_the_clock(request: RetentionRequest, frame: Frame) -> bool:
    series = [one for one in (request.start, request.return_) if one is not None]
    asked = [request.where, frame.internal, *(one.where for one in series), *(one.having for one in series)]
    return any(map(depends_on_clock, asked))
