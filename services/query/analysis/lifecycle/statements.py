"""The statements of a series' life cycle: pure, request → SQL."""

from __future__ import annotations

from typing import Final, get_args

from contracts.lifecycle import State
from services.query.analysis import buckets
from services.query.analysis.activity.plan import Plan, Span
from services.query.analysis.activity.sets import of_keys
from services.query.analysis.groups import Groups

STATES: Final[tuple[State, ...]] = get_args(State)
_FOLLOWING: Final = "arrayPushBack(arrayPopFront(periods), toUInt16(0))"
"""Of each period of a key the next one it has; 0, which follows on none, behind the last."""
_NEW, _RETURNING, _RESURRECTING, _DORMANT = range(len(STATES))


def cells_sql(plan: Plan, series: int, span: Span, groups: Groups | None) -> str:
    """Return rows of (group, cell, keys); without groups all keys are of group 0. `span` begins one period before the
    first row; `cell_of` tells a cell's number."""
    group = "toUInt16(0) AS g" if groups is None else "g"
    cells = f"SELECT {group}, arrayJoin({_cells(span)}) AS cell FROM ({_keys(plan, series, span, groups)})"
    return f"SELECT g, cell, count() FROM ({cells}) GROUP BY g, cell"


def actors_sql(plan: Plan, series: int, span: Span, cell: int, chosen: tuple[Groups, int] | None) -> str:
    """Return the keys (`actor`) of a cell, of one group if one is chosen."""
    groups = None if chosen is None else chosen[0]
    of_group = "" if chosen is None else f" AND g = {chosen[1]}"
    return f"SELECT actor FROM ({_keys(plan, series, span, groups)}) WHERE has({_cells(span)}, {cell}){of_group}"


def cell_of(row: int, state: State) -> int:
    """Return the number of the cell of a state in a row, both counted from 0."""
    return (row + 1) * len(STATES) + STATES.index(state)


def _keys(plan: Plan, series: int, span: Span, groups: Groups | None) -> str:
    keys = of_keys(plan, series, span, held=None if groups is None else groups.number, history=True)
    return f"SELECT * FROM ({keys}) WHERE notEmpty(periods)"


def _cells(span: Span) -> str:
    """Return SQL of the cells that a key is in, from its `periods` and `first`.

    A period that follows at once on the one before is a return; the first of all is one of a new key, or, as any other,
    the end of an absence. A period on which none follows at once makes the next one dormant.
    """
    count = len(STATES)
    shown = f"toInt64({buckets.milliseconds(span.bounds[1])})"
    state = f"multiIf(gap = 1, {_RETURNING}, number = 1 AND first >= {shown}, {_NEW}, {_RESURRECTING})"
    active = (
        f"arrayMap((period, gap, number) -> toUInt32(period) * {count} + {state}, "
        "periods, arrayDifference(periods), arrayEnumerate(periods))"
    )
    last = f"arrayFilter((period, following) -> following != period + 1, periods, {_FOLLOWING})"
    dormant = f"arrayMap(period -> (toUInt32(period) + 1) * {count} + {_DORMANT}, {last})"
    return f"arrayFilter(cell -> cell >= {count} AND cell < {span.size * count}, arrayConcat({active}, {dormant}))"
