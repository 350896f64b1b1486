"""The operations `query.paths` and `query.paths_actors`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from contracts.analysis import ActorsPage
from contracts.errors import InvalidRequest
from contracts.paths import EdgeChoice, PathEdge, PathNode, PathsActorsRequest, PathsRequest, PathsResult
from services.kit import cursor
from services.kit.service import Answer, RequestContext
from services.kit.statements import Query
from services.query.analysis.delivery import Table, actors_table, delivered
from services.query.analysis.listing import actors_page
from services.query.analysis.nested import under
from services.query.analysis.paths.plan import Plan, settle
from services.query.analysis.paths.statements import actors_sql, paths_sql
from services.query.resources import Resources


async def paths(resources: Resources, request: PathsRequest, context: RequestContext) -> Answer:
    """Answer `query.paths`.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    plan = await settle(resources, request, context)
    query = resources.query(context, plan.frame)
    result = _result(plan, (await query.run(paths_sql(plan))).rows(), query)
    return delivered(context, result, lambda: _table(result), cache=plan.policy(resources))


async def paths_actors(resources: Resources, request: PathsActorsRequest, context: RequestContext) -> Answer:
    """Answer `query.paths_actors`.

    Raises:
        As `paths`.
    """
    before = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    with under("/query"):
        plan = await settle(resources, request.query, context, page=before)
    _check_position(plan, request)
    query = resources.query(context, plan.frame)
    page: ActorsPage = await actors_page(
        query,
        plan.frame,
        plan.subject,
        request,
        selection=actors_sql(plan, request.of),
        limit=request.limit,
        after=before,
    )
    return delivered(context, page, lambda: actors_table(page), cache=plan.policy(resources))


def _check_position(plan: Plan, request: PathsActorsRequest) -> None:
    count = plan.request.positions
    first, last = (1 - count, 0) if plan.backward else (1, count)
    if isinstance(request.of, EdgeChoice):
        last -= 1
    if not first <= request.of.position <= last:
        raise InvalidRequest.at("/of/position", f"must be from {first} to {last}")


def _result(plan: Plan, rows: Iterable[Sequence[Any]], query: Query) -> PathsResult:
    nodes, edges = [], []
    sessions = actors = total = 0
    for place, name_, count, who, left, who_left, leaving, total_ in rows:
        total = total_
        if place == 0:
            sessions, actors = count, who
            continue
        position = 1 - place if plan.backward else place
        name = _text(name_)
        inner = place < plan.request.positions
        nodes.append(
            PathNode(
                position=position,
                name=name,
                count=count,
                actors=who,
                dropped=left if inner else None,
                dropped_actors=who_left if inner else None,
            )
        )
        for next_, along, along_who, took in leaving:
            from_, to = (_text(next_), name) if plan.backward else (name, _text(next_))
            edges.append(
                PathEdge(
                    position=position - 1 if plan.backward else position,
                    from_=from_,
                    to=to,
                    count=along,
                    actors=along_who,
                    mean_seconds=took / along / 1000,
                )
            )
    return PathsResult(
        sessions=sessions,
        actors=actors,
        nodes=tuple(sorted(nodes, key=lambda one: (one.position, -one.count, one.name.encode()))),
        edges=tuple(sorted(edges, key=lambda one: (-one.count, one.position, one.from_.encode(), one.to.encode()))),
        truncated=total > len(edges),
        meta=query.facts(plan.frame.as_of),
    )


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _table(result: PathsResult) -> Table:
    header = ("kind", "position", "name", "to", "count", "actors", "dropped", "dropped_actors", "mean_seconds")
    nodes = [
        ("node", one.position, one.name, None, one.count, one.actors, one.dropped, one.dropped_actors, None)
        for one in result.nodes
    ]
    edges = [
        ("edge", one.position, one.from_, one.to, one.count, one.actors, None, None, one.mean_seconds)
        for one in result.edges
    ]
    return header, [*nodes, *edges]
