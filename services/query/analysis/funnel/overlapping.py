"""Counts of ordered funnels whose steps may share events, as arrays: exact for every actor whose events are at
different times. The few others are `tied`, and judged one by one (exactly.py).

An event is one number: its time · 2¹⁶ + the steps it serves as bits. For each step the latest entry that leads to it is
carried forward; a step looks at what was so before its event, never at its event itself.
"""

from __future__ import annotations

from typing import Final

from contracts.funnel import FunnelRequest
from services.query.analysis.funnel.disjoint import needs_chains
from services.query.analysis.funnel.plan import Plan

MOST_STEPS: Final = 16
_BEFORE: Final = "toInt64(-4611686018427387904)"
"""-2⁶²: before all times, of no step."""


def suits(request: FunnelRequest) -> bool:
    """Tell whether the counts are found this way."""
    return (
        request.order == "ordered"
        and not request.exclusions
        and not request.holding
        and request.breakdown is None
        and not any(step.optional for step in request.steps)
        and len(request.steps) <= MOST_STEPS
        and not needs_chains(request)
    )


def actors_sql(plan: Plan) -> str:
    """Return a SELECT of all that have step events: `actor`, `tied`, and `depth`, which holds when not tied."""
    window, last = plan.rules.window, plan.entries[1]
    steps = range(1, plan.rules.steps + 1)
    mask = " + ".join(f"bitShiftLeft(toInt64(s{step - 1}), {step - 1})" for step in steps)
    gathered = (
        f"SELECT actor, arrayPushFront(arraySort(groupArray(ts * 65536 + {mask})), {_BEFORE}) AS s "
        f"FROM ({plan.source(distinct=True).sql()}) GROUP BY actor"
    )
    entry = f"bitTest(e, 0) AND bitShiftRight(e, 16) < {last}"
    carried = [f"arrayFill(e -> {entry}, s) AS f1"]
    carried += [
        f"arrayFill((f, e) -> bitTest(e, {step - 1}), {_before(step - 1)}, s) AS f{step}" for step in steps[1:-1]
    ]
    reached = [
        f"arrayExists((e, f) -> bitTest(e, {step}) AND bitShiftRight(e, 16) - bitShiftRight(f, 16) <= {window}, "
        f"s, {_before(step)}), {step + 1}"
        for step in reversed(steps[:-1])
    ]
    reached.append(f"arrayExists(e -> {entry}, s), 1")
    tied = "arrayExists((e, f) -> bitShiftRight(e, 16) = bitShiftRight(f, 16), arrayPopFront(s), arrayPopBack(s))"
    return (
        f"SELECT actor, {tied} AS tied, {', '.join(carried)}, multiIf({', '.join(reached)}, 0) AS depth "
        f"FROM ({gathered})"
    )


def counts_sql(plan: Plan) -> str:
    """Return one row: how many actors are tied, and of the others the count of each step."""
    counts = ", ".join(f"countIf(NOT tied AND depth >= {step})" for step in range(1, plan.rules.steps + 1))
    return f"SELECT countIf(tied), {counts} FROM ({actors_sql(plan)})"


def tied_sql(plan: Plan) -> str:
    """Return a SELECT of the actors that are tied."""
    return f"SELECT actor FROM ({actors_sql(plan)}) WHERE tied"


def _before(step: int) -> str:
    """Return the array of what was carried for a step before each event."""
    return f"arrayPushFront(arrayPopBack(f{step}), {_BEFORE})"
