"""The operation `query.trends_actors`: those behind a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.analysis import LETTERS
from contracts.errors import InvalidRequest
from contracts.trends import TrendsActorsRequest
from services.kit import cursor, timerange
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis import buckets
from services.query.analysis.delivery import actors_table, delivered
from services.query.analysis.groups import Groups, values_of
from services.query.analysis.listing import actors_page
from services.query.analysis.nested import under
from services.query.analysis.source import Column
from services.query.analysis.trends.handler import kept_groups
from services.query.analysis.trends.line import FIRST, Line
from services.query.analysis.trends.periods import Period
from services.query.analysis.trends.plan import Plan, settle
from services.query.resources import Resources


async def trends_actors(resources: Resources, request: TrendsActorsRequest, context: RequestContext) -> Answer:
    """Answer `query.trends_actors`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    page = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await settle(resources, request.query, context, page=page)
    line, period = _line(request, plan), _period(request, plan)
    bucket = None if request.bucket is None else _bucket(request.bucket, period, plan)
    query = resources.query(context, plan.frame)
    chosen = await _chosen(request, plan, query)
    result = await actors_page(
        query,
        plan.frame,
        line.subject,
        request,
        selection=selection(line, period, _span(line, period, bucket, cumulative=request.query.cumulative), chosen),
        limit=request.limit,
        after=page,
    )
    return delivered(context, result, lambda: actors_table(result), cache=plan.cache_policy(resources, listed=True))


def selection(line: Line, period: Period, span: tuple[datetime, datetime], chosen: Chosen | None) -> str:
    """Return a SELECT of `actor`: of the line's events in a span, of one group if one is chosen, and for a measure of
    a field those with a value."""
    read = span
    if line.subject.by == "session":  # sessions are made of all that is read, and a bucket may cut one
        read = line.read(period)
    columns: Mapping[str, Column] = {} if chosen is None else {"g": chosen.groups.number}
    asked = [f"ts >= {buckets.milliseconds(span[0])}", f"ts < {buckets.milliseconds(span[1])}"]
    if chosen is not None:
        asked.append(f"g = {chosen.number}")
    if line.series.field is not None:
        asked.append("isNotNull(value)")
    source = line.source(read, columns=columns, resolved=True)
    return f"SELECT actor FROM ({source}) WHERE {' AND '.join(asked)}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of some groups."""

    groups: Groups
    number: int


async def _chosen(request: TrendsActorsRequest, plan: Plan, query: Query) -> Chosen | None:
    if request.group is None:
        return None
    breakdown = request.query.breakdown
    if breakdown is None:
        raise InvalidRequest.at("/group", "the query has no breakdown")
    if request.group.other:
        if request.group.values:
            raise InvalidRequest.at("/group/values", "`other` has none")
        kept = await kept_groups(plan, breakdown, query)
        return Chosen(kept, kept.other)
    if len(request.group.values) != len(breakdown.by):
        raise InvalidRequest.at("/group/values", f"must be {len(breakdown.by)}: one for each part of the breakdown")
    return Chosen(Groups(breakdown, (values_of(request.group),)), 0)


def _line(request: TrendsActorsRequest, plan: Plan) -> Line:
    number = LETTERS.index(request.series)
    if number >= len(plan.lines):
        raise InvalidRequest.at(
            "/series", f"there are {len(plan.lines)} series: {', '.join(LETTERS[: len(plan.lines)])}"
        )
    return plan.lines[number]


def _period(request: TrendsActorsRequest, plan: Plan) -> Period:
    if not request.compared:
        return plan.current
    if plan.compared is None:
        raise InvalidRequest.at("/compared", "the query compares with nothing")
    return plan.compared


def _bucket(text: str, period: Period, plan: Plan) -> int:
    """Return the number of the bucket that begins at a moment."""
    frame = plan.frame
    start = timerange.resolve_moment(text, as_of=frame.as_of, timezone=frame.timezone, pointer="/bucket")
    if start not in period.bounds[:-1]:
        raise InvalidRequest.at("/bucket", "must be the start of one of the answer's buckets")
    return period.bounds.index(start)


def _span(line: Line, period: Period, bucket: int | None, *, cumulative: bool) -> tuple[datetime, datetime]:
    """Return the range whose events make a value."""
    days = line.days(period)
    if days is not None:
        start, end = days.window(bucket)
        return max(start, FIRST), max(start, min(end, period.end))
    start, end = period.part(bucket)
    return (period.start if cumulative else start), end
