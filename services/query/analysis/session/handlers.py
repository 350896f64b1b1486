"""The operations `query.session` and `query.session_actors`."""

from __future__ import annotations

from datetime import datetime

from contracts.analysis import ActorsPage, Group
from contracts.errors import InvalidRequest
from contracts.session import SessionActorsRequest, SessionListRequest, SessionRequest, SessionResult
from services.kit import cursor, timerange
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis.delivery import actors_table, delivered
from services.query.analysis.listing import actors_page
from services.query.analysis.nested import under
from services.query.analysis.session.answers import groups_of, table_of
from services.query.analysis.session.plan import Plan, settle
from services.query.analysis.session.statements import figures_sql, rows_sql, selected
from services.query.resources import Resources


async def session(resources: Resources, request: SessionRequest, context: RequestContext) -> Answer:
    """Answer `query.session`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    plan = await settle(resources, request, context)
    query = resources.query(context, plan.frame)
    groups = groups_of(plan, (await query.run(figures_sql(plan))).rows())
    result = SessionResult(data=groups, meta=query.facts(plan.frame.as_of))
    return delivered(context, result, lambda: table_of(plan, groups), cache=plan.policy(resources))


async def session_actors(resources: Resources, request: SessionActorsRequest, context: RequestContext) -> Answer:
    """Answer `query.session_actors`.

    Raises:
        As `session`.
    """
    before = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await settle(resources, request.query, context, page=before)
    query = resources.query(context, plan.frame)
    condition = await condition_of(query, plan, request)
    page: ActorsPage = await actors_page(
        query,
        plan.frame,
        plan.subject,
        request,
        selection=f"SELECT actor FROM ({rows_sql(plan)}) WHERE {condition}",
        limit=request.limit,
        after=before,
    )
    return delivered(context, page, lambda: actors_table(page), cache=plan.policy(resources))


async def condition_of(query: Query, plan: Plan, request: SessionActorsRequest | SessionListRequest) -> str:
    """Return SQL of what a request selects of the sessions.

    Raises:
        InvalidRequest: no such group or interval can be.
    """
    interval = None if request.interval is None else _interval(plan, request.interval)
    top: list[Group] = []
    if request.group is not None:
        _check_group(plan, request.group)
        if request.group.other:
            groups = groups_of(plan, (await query.run(figures_sql(plan))).rows())
            top = [one.group for one in groups if one.group is not None and not one.group.other]
    return selected(plan, request.group, top, interval)


def _check_group(plan: Plan, group: Group) -> None:
    if not plan.parts:
        raise InvalidRequest.at("/group", "the query has no breakdown")
    if len(group.values) != (0 if group.other else plan.parts):
        raise InvalidRequest.at("/group/values", "needs one value for each part of the breakdown, `other` none")


def _interval(plan: Plan, text: str) -> datetime:
    if plan.request.interval is None:
        raise InvalidRequest.at("/interval", "the query has no intervals")
    found = timerange.resolve_moment(text, as_of=plan.frame.as_of, timezone=plan.frame.timezone, pointer="/interval")
    if found not in plan.bounds[:-1]:
        raise InvalidRequest.at("/interval", "must be the start of one of the query's intervals")
    return found
