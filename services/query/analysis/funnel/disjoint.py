"""Which requests the engine computes by itself, exactly: chosen by the request alone (docs/funnel.md, "How")."""

from __future__ import annotations

from itertools import combinations
from typing import Final

from contracts.analysis import Series
from contracts.common import expand_tables
from contracts.funnel import FunnelRequest
from services.kit.event_rows import NAME_COLUMN

MOST_TIMED: Final = 10
"""Steps up to which the engine also finds the times: its work grows with the square of the steps."""


def suits(request: FunnelRequest) -> bool:
    """Tell whether the arrays of arrays.py answer a request exactly."""
    breakdown = request.breakdown
    return (
        request.order != "strict"
        and not request.exclusions
        and not any(step.optional for step in request.steps)
        and (len(request.steps) <= MOST_TIMED or not needs_chains(request))
        and (breakdown is None or (breakdown.attribution != "step" and not request.holding))
        and all(disjoint(one, other) for one, other in combinations(request.steps, 2))
    )


def needs_chains(request: FunnelRequest) -> bool:
    """Tell whether an answer asks for more than how deep each actor comes."""
    return request.times or request.trend is not None or request.time_to_convert is not None


def disjoint(one: Series, other: Series) -> bool:
    """Tell whether no event can be meant by both series: in every table that both read they name different events."""
    for table in set(expand_tables(one.table)) & set(expand_tables(other.table)):
        if table not in NAME_COLUMN or not one.names or not other.names or set(one.names) & set(other.names):
            return False
    return True
