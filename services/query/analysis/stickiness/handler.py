"""The operations `query.stickiness` and `query.stickiness_actors`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

import msgspec

from contracts.analysis import LETTERS, Group
from contracts.errors import InvalidRequest
from contracts.stickiness import StickinessActorsRequest, StickinessLine, StickinessRequest, StickinessResult
from services.kit import cursor
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis.activity.groups import chosen, ranked
from services.query.analysis.activity.plan import FIRST, Plan, Span, check_size, settle
from services.query.analysis.delivery import actors_table, delivered
from services.query.analysis.groups import Groups
from services.query.analysis.listing import actors_page
from services.query.analysis.nested import under
from services.query.analysis.stickiness.answer import counts_of, table_of
from services.query.analysis.stickiness.spans import compared
from services.query.analysis.stickiness.statements import actors_sql, counts_sql
from services.query.resources import Resources


async def stickiness(resources: Resources, request: StickinessRequest, context: RequestContext) -> Answer:
    """Answer `query.stickiness`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded: the answer would have too many counts; or as DeadlineExceeded, Unavailable from the engine.
    """
    plan = await settle(resources, request, context)
    earlier = compared(request, plan)
    check_size(plan, plan.span.size + (0 if earlier is None else earlier.size))
    query = resources.query(context, plan.frame)
    lines: list[StickinessLine] = []
    for series in range(len(request.series)):
        lines += await _lines(query, plan, request, series, earlier)
    result = StickinessResult(
        periods=plan.span.shown(plan.frame),
        compared=None if earlier is None else earlier.shown(plan.frame),
        data=tuple(lines),
        meta=query.facts(plan.frame.as_of),
    )
    cache = resources.cache_policy(
        request, plan.frame, relative=plan.relative, resolved=plan.resolved, reads=_reads(plan, earlier)
    )
    return delivered(context, result, lambda: table_of(request, result), cache=cache)


async def stickiness_actors(resources: Resources, request: StickinessActorsRequest, context: RequestContext) -> Answer:
    """Answer `query.stickiness_actors`.

    Raises:
        As `stickiness`.
    """
    after = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await settle(resources, request.query, context, page=after)
        earlier = compared(request.query, plan)
    series, span = plan.number_of(request.series), _span_of(request, plan, earlier)
    plan.check_group(request.group)
    query = resources.query(context, plan.frame)
    with under("/query"):
        group = None
        if request.group is not None:
            group = await chosen(query, plan, series, plan.span, request.group, history=False)
        selection = actors_sql(plan, series, span, request.periods, group, or_more=request.query.cumulative)
    page = await actors_page(
        query, plan.frame, plan.subject, request, selection=selection, limit=request.limit, after=after
    )
    cache = resources.cache_policy(request.query, plan.frame, relative=True, resolved=True, reads=_reads(plan, earlier))
    return delivered(context, page, lambda: actors_table(page), cache=cache)


async def _lines(
    query: Query, plan: Plan, request: StickinessRequest, series: int, earlier: Span | None
) -> list[StickinessLine]:
    groups, shown = None, list[Group | None]([None])
    if request.breakdown is not None:
        groups, _ = await ranked(query, plan, series, plan.span, history=False)
    found = await _numbers(query, plan, series, plan.span, groups)
    before = None if earlier is None else await _numbers(query, plan, series, earlier, groups)
    if groups is not None:
        folded = groups.other in found or (before is not None and groups.other in before)
        shown = [groups.shown(number) for number in range(len(groups.kept) + folded)]
    lines = []
    for number, group in enumerate(shown):
        current = counts_of(found[number], plan.span.size, cumulative=request.cumulative)
        past = None
        if before is not None and earlier is not None:
            past = counts_of(before[number], earlier.size, cumulative=request.cumulative)
        lines.append(
            StickinessLine(
                series=LETTERS[series],
                label=request.series[series].label,
                group=group,
                compared=past,
                **msgspec.structs.asdict(current),
            )
        )
    return lines


async def _numbers(
    query: Query, plan: Plan, series: int, span: Span, groups: Groups | None
) -> Mapping[int, Mapping[int, int]]:
    """Return of each group how many keys are active in n periods."""
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    if span.size:
        for group, n, keys in (await query.run(counts_sql(plan, series, span, groups))).rows():
            found[group][n] = keys
    return found


def _span_of(request: StickinessActorsRequest, plan: Plan, earlier: Span | None) -> Span:
    span = earlier if request.compared else plan.span
    if span is None:
        raise InvalidRequest.at("/compared", "the query compares with nothing")
    if request.periods > span.size:
        raise InvalidRequest.at("/periods", f"there are only {span.size} periods")
    return span


def _reads(plan: Plan, earlier: Span | None) -> tuple[datetime, datetime]:
    starts = [plan.span.bounds[0], *(() if earlier is None else earlier.bounds[:1])]
    return max(FIRST, min(starts)), plan.span.end
