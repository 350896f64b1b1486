"""Counts of ordered and strict funnels of any steps and of exclusions that stop, as arrays: exact for every actor whose
events are at different times. The few others are `tied`, and judged one by one (exactly.py).

An event is one number: its time · 2¹⁶ + the steps it serves and the exclusions that mean it, as bits. For each step the
latest entry that leads to it is carried from event to event; a step looks at what was so before its event. An exclusion
ends what it breaks, but for the chain that it serves. A chain that comes to a step later never began earlier, even when
others ended in between: the last one is the best.
"""

from __future__ import annotations

from typing import Final

from contracts.funnel import FunnelRequest
from services.query.analysis.funnel.disjoint import needs_chains
from services.query.analysis.funnel.plan import Plan

MOST_SERIES: Final = 16
_NEVER: Final = "toInt64(-4611686018427387904)"
"""-2⁶²: before all times, of no step."""


def suits(request: FunnelRequest) -> bool:
    """Tell whether the counts are found this way."""
    return (
        request.order != "any"
        and (request.effect == "stop" or not request.exclusions)
        and not request.holding
        and request.breakdown is None
        and not any(step.optional for step in request.steps)
        and len(request.steps) + len(request.exclusions) <= MOST_SERIES
        and not needs_chains(request)
    )


def counts_sql(plan: Plan) -> str:
    """Return one row: how many actors are tied, and of the others the count of each step."""
    counts = ", ".join(f"countIf(NOT tied AND depth >= {step})" for step in range(1, plan.rules.steps + 1))
    return f"SELECT countIf(tied), {counts} FROM ({_actors_sql(plan)})"


def untied_sql(plan: Plan, condition: str) -> str:
    """Return a SELECT of the actors that are not tied and of whose `depth` a condition holds."""
    return f"SELECT actor FROM ({_actors_sql(plan)}) WHERE NOT tied AND {condition}"


def tied_sql(plan: Plan) -> str:
    """Return a SELECT of the actors that are tied."""
    return f"SELECT actor FROM ({_actors_sql(plan)}) WHERE tied"


def _actors_sql(plan: Plan) -> str:
    """Return a SELECT of all that have events of the funnel: `actor`, `tied`, and `depth`, which holds if not tied."""
    steps = range(1, plan.rules.steps + 1)
    series = plan.rules.steps + len(plan.rules.exclusions)
    mask = " + ".join(f"bitShiftLeft(toInt64(s{number}), {number})" for number in range(series))
    source = plan.source(distinct=True, every=plan.rules.order == "strict")
    gathered = (
        f"SELECT actor, arrayPushFront(arraySort(groupArray(ts * 65536 + {mask})), {_NEVER}) AS s "
        f"FROM ({source.sql()}) GROUP BY actor"
    )
    entry = f"bitTest(e, 0) AND bitShiftRight(e, 16) < {plan.entries[1]}"
    carried = [f"{_carried(plan, step, entry)} AS f{step}" for step in steps[:-1]]
    reached = [
        f"arrayExists((e, f) -> bitTest(e, {step}) AND bitShiftRight(e, 16) - bitShiftRight(f, 16) "
        f"<= {plan.rules.window}, s, {_before(step)}), {step + 1}"
        for step in reversed(steps[:-1])
    ]
    reached.append(f"arrayExists(e -> {entry}, s), 1")
    tied = "arrayExists((e, f) -> bitShiftRight(e, 16) = bitShiftRight(f, 16), arrayPopFront(s), arrayPopBack(s))"
    columns = ["actor", f"{tied} AS tied", *carried, f"multiIf({', '.join(reached)}, 0) AS depth"]
    return f"SELECT {', '.join(columns)} FROM ({gathered})"


def _carried(plan: Plan, step: int, entry: str) -> str:
    """Return SQL of an array: after each event the latest entry from which a chain stands at a step."""
    serves = entry if step == 1 else f"bitTest(e, {step - 1}) AND f != {_NEVER}"
    begun = "s" if step == 1 else _before(step - 1)
    if plan.rules.order == "strict":
        return f"arrayMap((f, e) -> if({serves}, f, {_NEVER}), {begun}, s)"
    blocking = sum(
        1 << plan.rules.steps + number
        for number, (first, last) in enumerate(plan.rules.exclusions)
        if first <= step < last
    )
    if not blocking:
        return f"arrayFill((f, e) -> {serves}, {begun}, s)"
    set_ = f"arrayMap((f, e) -> if({serves}, f, {_NEVER}), {begun}, s)"
    return f"arrayFill((f, e) -> f != {_NEVER} OR bitAnd(e, {blocking}) != 0, {set_}, s)"


def _before(step: int) -> str:
    """Return the array of what was carried for a step before each event."""
    return f"arrayPushFront(arrayPopBack(f{step}), {_NEVER})"
