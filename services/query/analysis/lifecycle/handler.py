"""The operations `query.lifecycle` and `query.lifecycle_actors`."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.analysis import Group
from contracts.errors import InvalidRequest
from contracts.lifecycle import LifecycleActorsRequest, LifecycleLine, LifecycleRequest, LifecycleResult
from services.kit import cursor, timerange
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis import buckets
from services.query.analysis.activity.groups import chosen, ranked
from services.query.analysis.activity.plan import Plan, Span, check_size, settle, until_now
from services.query.analysis.delivery import actors_table, delivered
from services.query.analysis.lifecycle.answer import line_of, table_of
from services.query.analysis.lifecycle.statements import STATES, actors_sql, cell_of, cells_sql
from services.query.analysis.listing import actors_page
from services.query.analysis.nested import under
from services.query.resources import Resources


async def lifecycle(resources: Resources, request: LifecycleRequest, context: RequestContext) -> Answer:
    """Answer `query.lifecycle`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded: the answer would have too many counts; or as DeadlineExceeded, Unavailable from the engine.
    """
    plan = await settle(resources, request, context)
    check_size(plan, plan.span.size * len(STATES))
    query = resources.query(context, plan.frame)
    lines = [line for series in range(len(request.series)) for line in await _lines(query, plan, series)]
    result = LifecycleResult(periods=plan.span.shown(plan.frame), data=tuple(lines), meta=query.facts(plan.frame.as_of))
    cache = resources.cache_policy(
        request, plan.frame, relative=plan.relative, resolved=plan.resolved, reads=(None, plan.span.end)
    )
    return delivered(context, result, lambda: table_of(plan, result), cache=cache)


async def lifecycle_actors(resources: Resources, request: LifecycleActorsRequest, context: RequestContext) -> Answer:
    """Answer `query.lifecycle_actors`.

    Raises:
        As `lifecycle`.
    """
    after = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await settle(resources, request.query, context, page=after)
    series, row = plan.number_of(request.series), _row_of(request, plan)
    plan.check_group(request.group)
    query = resources.query(context, plan.frame)
    span = with_one_before(plan)
    with under("/query"):
        group = None
        if request.group is not None:
            group = await chosen(query, plan, series, span, request.group, history=True)
        selection = actors_sql(plan, series, span, cell_of(row, request.state), group)
    page = await actors_page(
        query, plan.frame, plan.subject, request, selection=selection, limit=request.limit, after=after
    )
    cache = resources.cache_policy(request.query, plan.frame, relative=True, resolved=True, reads=(None, plan.span.end))
    return delivered(context, page, lambda: actors_table(page), cache=cache)


def with_one_before(plan: Plan) -> Span:
    """Return the periods of the rows, and the one before them."""
    frame, bounds = plan.frame, plan.span.bounds
    before = buckets.before(bounds[0], 1, plan.request.period, timezone=frame.timezone, week_start=frame.week_start)
    return until_now((*before, *bounds), frame)


async def _lines(query: Query, plan: Plan, series: int) -> Sequence[LifecycleLine]:
    span = with_one_before(plan)
    groups, shown = None, list[Group | None]([None])
    if not plan.span.size:
        shown = [] if plan.request.breakdown is not None else shown
    elif plan.request.breakdown is not None:
        groups, folded = await ranked(query, plan, series, span, history=True)
        shown = [groups.shown(number) for number in range(len(groups.kept) + folded)]
    cells = {}
    if plan.span.size and shown:
        rows = (await query.run(cells_sql(plan, series, span, groups))).rows()
        cells = {(group, cell): count for group, cell, count in rows}
    return [line_of(plan, series, group, number, cells) for number, group in enumerate(shown)]


def _row_of(request: LifecycleActorsRequest, plan: Plan) -> int:
    """Return the number of the row that is asked for.

    Raises:
        InvalidRequest: there is no such row.
    """
    frame = plan.frame
    begin = timerange.resolve_moment(request.period, as_of=frame.as_of, timezone=frame.timezone, pointer="/period")
    if begin not in plan.span.bounds[:-1]:
        raise InvalidRequest.at("/period", "must be the start of one of the answer's periods")
    return plan.span.bounds.index(begin)
