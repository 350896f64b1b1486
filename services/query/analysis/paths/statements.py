"""Pure compiler of paths: a settled request → SQL."""

from __future__ import annotations

from typing import Final

from contracts.analysis import Series
from contracts.paths import EdgeChoice, NodeChoice
from services.kit import sql
from services.kit.predicates import Scope, compile_field
from services.kit.sessions import split
from services.query.analysis import sessionise
from services.query.analysis.paths.plan import PATH, Plan
from services.query.analysis.source import ORDER, Source

_NAME: Final = "step"


def paths_sql(plan: Plan) -> str:
    """Return rows of `place` (the position counted from the anchor, from 1; 0: the row of all paths), `name`, sessions,
    actors, those that go no further and their actors, the edges that leave the node as [(name of the next, sessions,
    actors, summed milliseconds)], and how many edges there are. Of edges only the greatest, of nodes only their ends
    and those where paths begin."""
    request = plan.request
    who = "count()" if plan.subject.by == "session" else "uniqExact(actor)"
    who_left = "countIf(next = '')" if plan.subject.by == "session" else "uniqExactIf(actor, next = '')"
    # Three sums in one pass: of edges (kind 0), of nodes (1), of all that begins (3, at place 1).
    cells = (
        f"SELECT grouping(name, next) AS kind, place, name, next, count() AS sessions, {who} AS actors, "
        f"countIf(next = '') AS left, {who_left} AS left_actors, sum(took) AS took FROM ({steps_sql(plan)}) "
        "GROUP BY GROUPING SETS ((place, name, next), (place, name), (place)) "
        "HAVING (kind != 0 OR next != '') AND (kind != 3 OR place = 1)"
    )
    first = "place" if not plan.backward else "-toInt16(place)"
    names = "name, next" if not plan.backward else "next, name"
    ranked = (
        f"SELECT *, row_number() OVER (PARTITION BY kind ORDER BY sessions DESC, {first}, {names}) AS rank, "
        f"countIf(kind = 0) OVER () AS edges FROM ({cells})"
    )
    # Every edge that stays keeps the nodes at both of its ends.
    kept = f"kind = 0 AND rank <= {request.limit}"
    ends = f"multiIf({kept}, [(place, name), (toUInt8(place + 1), next)], kind = 0, [], [(place, name)])"
    return (
        "SELECT if(kind = 3, 0, end.1) AS place, end.2 AS name, "
        "maxIf(sessions, kind != 0), maxIf(actors, kind != 0), maxIf(left, kind != 0), maxIf(left_actors, kind != 0), "
        "groupArrayIf((next, sessions, actors, took), kind = 0 AND end.1 = ranked.place) AS leaving, any(edges) "
        f"FROM (SELECT *, arrayJoin({ends}) AS end FROM ({ranked})) AS ranked GROUP BY kind = 3, place, name "
        f"HAVING place = 0 OR countIf(kind = 0) > 0 OR (place = 1 AND minIf(rank, kind = 1) <= {request.limit})"
    )


def steps_sql(plan: Plan) -> str:
    """Return a row for each step of each session's path: `actor` (of whom is counted), `place` (UInt8, from 1 at the
    anchor), `name`, `next` (the name of the step that follows, away from the anchor; '' for none) and `took`, the
    milliseconds between both."""
    request = plan.request
    anchor = request.end if plan.backward else request.start
    begin = "1" if anchor is None else f"indexOf(names, {sql.string(anchor)})"
    cut = f"arraySlice(visit, begin, {request.positions})"
    if plan.backward:
        from_ = f"greatest(toInt64(begin) - {request.positions - 1}, 1)"
        cut = f"arrayReverse(arraySlice(visit, {from_}, toInt64(begin) - {from_} + 1))"
    key = "concat(toString(actor), ':', toString(visit_start))" if plan.subject.by == "session" else "actor"
    return (
        f"SELECT {key} AS actor, toUInt8(one.1) AS place, one.2.1 AS name, one.3.1 AS next, "
        "if(next = '', 0, abs(one.3.2 - one.2.2)) AS took FROM (SELECT actor, visit_start, arrayJoin(arrayZip("
        "arrayEnumerate(path), path, arrayPopFront(arrayPushBack(path, ('', toInt64(0)))))) AS one FROM ("
        f"SELECT actor, visit_start, {cut} AS path FROM (SELECT actor, visit_start, visit, visit.1 AS names, "
        f"{begin} AS begin FROM ({_visits(plan)}) WHERE notEmpty(visit) AND begin > 0)))"
    )


def actors_sql(plan: Plan, of: NodeChoice | EdgeChoice) -> str:
    """Return a SELECT of `actor`: those of a node or an edge."""
    # Seen from an end, an edge leaves the later of its two steps.
    place, name, next_ = of.position, "", None
    if isinstance(of, EdgeChoice):
        name, next_ = (of.to, of.from_) if plan.backward else (of.from_, of.to)
        place += 1 if plan.backward else 0
    else:
        name, next_ = of.name, "" if of.dropped else None
    if plan.backward:
        place = 1 - place
    asked = f"place = {sql.integer(place)} AND name = {sql.string(name)}"
    if next_ is not None:
        asked += f" AND next = {sql.string(next_)}"
    if isinstance(of, NodeChoice) and of.dropped:
        asked += f" AND place < {plan.request.positions}"
    return f"SELECT actor FROM ({steps_sql(plan)}) WHERE {asked}"


def _visits(plan: Plan) -> str:
    """Return a row for each session: actor, visit_start (milliseconds), and `visit`, its steps as [(name, time)],
    equal names in a row once."""
    source = Source(
        frame=plan.frame,
        subject=plan.whose,
        series=(Series(table=plan.frame.tables),),
        start=plan.start,
        end=plan.frame.end,
        where=plan.where,
        columns={**ORDER, _NAME: lambda scope: _name(plan, scope)},
        distinct=True,
        pointers=("",),
    )
    found = sessionise.arranged(source.sql(), [_NAME])
    items = ", ".join(split("found", plan.limits))
    cut = f"arraySplit((step, mark) -> mark, arrayZip({_NAME}, moments), marks)"
    named = "arrayFilter(step -> step.1 != '', visit.2)"
    compact = "arrayFilter((step, before) -> step.1 != before, named, arrayPopBack(arrayPushFront(named.1, '')))"
    return (
        f"SELECT actor, visit_start, {compact} AS visit FROM (SELECT actor, visit.1.1 AS visit_start, {named} AS named "
        f"FROM (SELECT actor, arrayJoin(arrayZip(sessions, {cut})) AS visit FROM ("
        f"SELECT actor, {_NAME}, {items}, {sessionise.marks()} AS marks FROM ({found}))))"
    )


def _name(plan: Plan, scope: Scope) -> str:
    """Return SQL of an event's name as a step, '' for one that is none."""
    request = plan.request
    table = scope.tables[0]
    if table == "track":
        name = compile_field(request.track, scope, "/track").text
    elif table != "page":
        name = sql.string(table)
    elif request.page == PATH:
        paths = (compile_field(field, scope, "/page").text for field in ("properties.path", "context.page.path"))
        name = f"coalesce({', '.join(paths)})"
    else:
        name = compile_field(request.page, scope, "/page").text
    name = f"ifNull(toString({name}), '')"
    if request.names:
        name = f"if({name} IN ({', '.join(map(sql.string, request.names))}), {name}, '')"
    if request.exclude:
        name = f"if({name} IN ({', '.join(map(sql.string, request.exclude))}), '', {name})"
    return name
