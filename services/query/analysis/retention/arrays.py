"""Every question as SQL: of each actor its rows and its returns as arrays, of each row the columns it counts in."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.kit import sql
from services.query.analysis import buckets
from services.query.analysis.retention.events import breakdown_values, firsts, index_in, number, place, source_of
from services.query.analysis.retention.groups import Groups
from services.query.analysis.retention.plan import ROLLING, Plan
from services.query.analysis.source import Column

_NO_GROUP: Final = "toUInt16(0)"
_PERIOD: Final = 65_536
"""What a period's number is multiplied by to leave room for a group's."""


def cells_sql(plan: Plan, groups: Groups) -> str:
    """Return rows of (row, group, column, count, sum)."""
    return (
        f"SELECT row, member, cell.1 AS k, count(), sum(cell.3) FROM ({_cohorts(plan, groups)}) "
        "ARRAY JOIN cells AS cell GROUP BY row, member, k"
    )


def actors_sql(plan: Plan, groups: Groups, row: int, column: int, group: int, *, retained: bool) -> str:
    """Return the actors of a row, in a group, that count, or do not count, in a column."""
    counts = f"{'' if retained else 'NOT '}has(cells.1, {column})"
    return f"SELECT actor FROM ({_cohorts(plan, groups)}) WHERE row = {row} AND member = {group} AND {counts}"


def _cohorts(plan: Plan, groups: Groups) -> str:
    """Return a SELECT of `actor`, `row`, `member` (the group's place) and `cells`: tuples (column, returns, sum) of the
    columns that the actor counts in, each once."""
    rows = (
        f"SELECT actor, row_of.1 AS row, row_of.2 AS anchor, row_of.3 AS member, entries "
        f"FROM ({_actors(plan, groups)}) ARRAY JOIN rows AS row_of"
    )
    served = f"SELECT actor, row, member, {_served(plan)} AS served FROM ({rows})"
    return f"SELECT actor, row, member, {_counted(plan)} AS cells FROM ({served})"


def _served(plan: Plan) -> str:
    """Return SQL of (column, returns, sum) for each of an actor's entries that lie in some column."""
    last = plan.spans[-1][1]
    length = ROLLING[plan.request.period] // timedelta(milliseconds=1)
    offset = f"intDiv(e.1 - anchor, {length})" if plan.rolling else "e.1 - toInt64(row)"
    conditions = ["e.1 >= anchor" if plan.rolling else "e.1 >= row"]
    if not plan.request.on_or_after:
        conditions.append(f"{offset} <= {last}")
    if _holding(plan):
        conditions.append("e.4 = member")
    column = f"least({offset}, toInt64({last}))"
    if plan.request.brackets:
        begins = ", ".join(f"toInt64({first})" for first, _ in plan.spans)
        column = f"indexOf([{begins}], roundDown({column}, [{begins}])) - 1"
    return f"arrayMap(e -> (toUInt16({column}), e.2, e.3), arrayFilter(e -> {' AND '.join(conditions)}, entries))"


def _counted(plan: Plan) -> str:
    """Return SQL of the columns that an actor counts in, from those its entries serve. The first one it always does."""
    request = plan.request
    columns = "arrayDistinct(arrayPushBack(served.1, toUInt16(0)))"
    if request.on_or_after:
        columns = "arrayMap(k -> toUInt16(k), range(arrayMax(arrayPushBack(served.1, toUInt16(0))) + 1))"
    if request.min_occurrences == 1 and request.measure is None:
        return f"arrayMap(k -> (k, toUInt64(1), 0.), {columns})"
    if request.on_or_after or request.brackets or plan.rolling:
        same = "s.1 >= k" if request.on_or_after else "s.1 = k"
        totals = [f"arraySum(s -> if({same}, s.{part}, 0), served)" for part in (2, 3)]
        summed = f"arrayMap(k -> (k, {', '.join(totals)}), {columns})"
    else:
        # One entry a period, one period a column: nothing to add up.
        summed = "if(has(served.1, 0), served, arrayPushBack(served, (toUInt16(0), toUInt64(0), 0.)))"
    return f"arrayFilter(s -> s.1 = 0 OR s.2 >= {request.min_occurrences}, {summed})"


def _actors(plan: Plan, groups: Groups) -> str:
    """Return a SELECT of `actor`, `rows`: tuples (row, anchor, group), and `entries`: tuples (time or period, returns,
    sum, group)."""
    start = "(ts, place, member)" if plan.request.breakdown else "ts"
    gathered = (
        f"SELECT actor, groupArrayIf({start}, is_start) AS starts, groupArrayIf({_return(plan)}, is_return) AS returns "
        f"FROM ({_events(plan, groups)}) GROUP BY actor HAVING notEmpty(starts)"
    )
    period = buckets.index_of("s.1" if plan.request.breakdown else "s", plan.axis)
    found = f"({period}, s.1, s.3)" if plan.request.breakdown else f"({period}, s, {_NO_GROUP})"
    ordered = (
        f"SELECT actor, arrayMap(s -> {found}, arraySort(starts)) AS ordered, {_entries(plan)} AS entries "
        f"FROM ({gathered})"
    )
    return f"SELECT actor, {firsts('ordered')} AS rows, entries FROM ({ordered})"


def _return(plan: Plan) -> str:
    """Return SQL of what is kept of a return event: as few bytes as the question allows, there may be many."""
    if plan.rolling:
        return "(ts, member)" if _holding(plan) else "ts"
    key = f"toUInt32(period * {_PERIOD} + {'member' if _holding(plan) else 0})"
    return f"({key}, amount)" if plan.request.measure else key


def _entries(plan: Plan) -> str:
    """Return SQL of an actor's entries: in rolling one a return, else one for each period and group held."""
    if plan.rolling:
        entry = "(e.1, toUInt64(1), 0., e.2)" if _holding(plan) else f"(e, toUInt64(1), 0., {_NO_GROUP})"
        return f"arrayMap(e -> {entry}, returns)"
    moment, member = f"toInt64(intDiv(e, {_PERIOD}))", f"toUInt16(e % {_PERIOD})"
    if not _counts_events(plan):
        return f"arrayMap(e -> ({moment}, toUInt64(1), 0., {member}), arrayDistinct(returns))"
    keys, amounts = ("e.1", "e.2") if plan.request.measure else ("e", "0.")
    each = ", ".join(f"arrayMap(e -> [{value}], returns)" for value in (keys, "toUInt64(1)", amounts))
    summed = f"arrayReduce('sumMap', {each})"
    return f"arrayMap((e, n, x) -> ({moment}, n, x, {member}), {summed}.1, {summed}.2, {summed}.3)"


def _events(plan: Plan, groups: Groups) -> str:
    """Return a SELECT of `actor`, `ts`, `period`, `is_start`, `is_return`, `amount`, `member`, `place`."""
    request = plan.request
    columns: dict[str, Column] = {}
    amount, member, order = "0.", _NO_GROUP, "0"
    if request.measure is not None:
        columns["amount"], amount = number(plan), "amount"
    if request.breakdown is not None:
        columns |= {"held": breakdown_values(plan), "place": place}
        member, order = index_in("held", groups.shown, len(request.breakdown.by)), "place"
    source = source_of(
        plan,
        [plan.start, plan.returns],
        start=plan.begin,
        end=plan.end,
        columns=columns,
        distinct=_counts_events(plan),
    )
    end = sql.integer(plan.starts_until)
    return (
        f"SELECT actor, ts, {buckets.index_of('ts', plan.axis)} AS period, s0 AND ts < {end} AS is_start, "
        f"s1 AS is_return, {amount} AS amount, {member} AS member, {order} AS place FROM ({source})"
    )


def _holding(plan: Plan) -> bool:
    return plan.request.breakdown is not None and plan.request.breakdown.holding


def _counts_events(plan: Plan) -> bool:
    """Tell whether an event that is there twice would count twice."""
    return plan.request.min_occurrences > 1 or plan.request.measure is not None
