"""The operations `query.funnel` and `query.funnel_actors`."""

from __future__ import annotations

from contracts.analysis import ActorsPage, Group
from contracts.errors import InvalidRequest
from contracts.funnel import FunnelActorsRequest, FunnelRequest
from services.kit import cursor, timerange
from services.kit.cursor import Cursor
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis import buckets
from services.query.analysis.delivery import actors_table, delivered
from services.query.analysis.funnel import exactly, quickly
from services.query.analysis.funnel.answer import result_of, table_of
from services.query.analysis.funnel.checks import check_actors
from services.query.analysis.funnel.disjoint import suits
from services.query.analysis.funnel.number import Number
from services.query.analysis.funnel.plan import Plan, settle
from services.query.analysis.funnel.rows import rows_sql
from services.query.analysis.funnel.summary import Summary
from services.query.analysis.listing import actors_page, page_of
from services.query.analysis.nested import under
from services.query.resources import Resources


async def funnel(resources: Resources, request: FunnelRequest, context: RequestContext) -> Answer:
    """Answer `query.funnel`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    plan = await _settled(resources, request, context)
    query = resources.query(context, plan.frame)
    groups: list[tuple[Group | None, Summary]]
    if plan.empty:
        groups = [] if request.breakdown is not None else [(None, Summary.empty(plan.rules.steps, plan.intervals))]
    else:
        groups = await (quickly if suits(request) else exactly).summaries(query, plan)
    result = result_of(plan, groups, query.facts(plan.frame.as_of))
    cache = resources.cache_policy(
        request,
        plan.frame,
        relative=plan.depends_on_clock,
        resolved=plan.subject.by == "actor",
        reads=plan.reads,
    )
    return delivered(context, result, lambda: table_of(plan, result), cache=cache)


async def funnel_actors(resources: Resources, request: FunnelActorsRequest, context: RequestContext) -> Answer:
    """Answer `query.funnel_actors`.

    Raises:
        As `funnel`.
    """
    check_actors(request)
    after = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await _settled(resources, request.query, context, page=after)
    number = Number(request.step, request.dropped, request.group, _interval(request, plan))
    query = resources.query(context, plan.frame)
    page = await _page(query, plan, request, number, after)
    cache = resources.cache_policy(request.query, plan.frame, relative=True, resolved=True, reads=plan.reads)
    return delivered(context, page, lambda: actors_table(page), cache=cache)


async def _page(
    query: Query, plan: Plan, request: FunnelActorsRequest, number: Number, after: Cursor | None
) -> ActorsPage:
    if suits(plan.request) and not plan.empty:
        with under("/query"):
            selection = await quickly.selection(query, plan, number)
        return await actors_page(
            query, plan.frame, plan.subject, request, selection=selection, limit=request.limit, after=after
        )
    with under("/query"):
        keys = [] if plan.empty else await exactly.behind(query, plan, number)
    return await page_of(query, plan.frame, plan.subject, request, keys=keys, limit=request.limit, after=after)


async def _settled(
    resources: Resources, request: FunnelRequest, context: RequestContext, *, page: Cursor | None = None
) -> Plan:
    plan = await settle(resources, request, context, page=page)
    if plan.empty:
        rows_sql(plan)  # what cannot be compiled is refused where nothing is read, too
    return plan


def _interval(request: FunnelActorsRequest, plan: Plan) -> int | None:
    """Return the number of the interval asked for.

    Raises:
        InvalidRequest: none begins then.
    """
    if request.interval is None:
        return None
    frame = plan.frame
    moment = timerange.resolve_moment(request.interval, as_of=frame.as_of, timezone=frame.timezone, pointer="/interval")
    found = {start: number for number, start in enumerate(plan.bounds[:-1])}.get(buckets.milliseconds(moment))
    if found is None:
        raise InvalidRequest.at("/interval", "no interval of the trend begins then: send the `start` of a point")
    return found
