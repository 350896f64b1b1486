"""Rows of figures → the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from contracts.analysis import Group
from contracts.session import SessionGroup, SessionPoint
from services.query.analysis import buckets
from services.query.analysis.delivery import Table
from services.query.analysis.session.plan import Plan
from services.query.analysis.session.statements import WHOLE

_FIGURES: Final = (
    "sessions",
    "actors",
    "events",
    "bounces",
    "events_per_session",
    "bounce_rate",
    "mean_seconds",
    "median_seconds",
    "p90_seconds",
)


class Cell(NamedTuple):
    """One row of `figures_sql`."""

    group: Group | None
    number: int
    sessions: int
    figures: dict[str, Any]


def groups_of(plan: Plan, rows: Iterable[Sequence[Any]]) -> tuple[SessionGroup, ...]:
    """Return the groups, those with most sessions first, ties by text (null first), `other` last; without a breakdown
    the one of all."""
    cells: dict[Group | None, dict[int, Cell]] = {}
    for row in rows:
        cell = _cell(plan, row)
        cells.setdefault(cell.group, {})[cell.number] = cell
    if not plan.parts:
        cells.setdefault(None, {})
    ranked = sorted(cells.items(), key=lambda item: _rank(item[0], item[1]))
    return tuple(_group(plan, group, found) for group, found in ranked)


def _rank(group: Group | None, cells: dict[int, Cell]) -> tuple[bool, int, list[bytes]]:
    if group is None:
        return False, 0, []
    return group.other, -cells[WHOLE].sessions, [(value or "").encode() for value in group.values]


def table_of(plan: Plan, groups: Sequence[SessionGroup]) -> Table:
    """Return the answer as a table: a row for each group, and with an interval one for each of its intervals."""
    parts = [f"group_{number}" for number in range(1, plan.parts + 1)] + (["other"] if plan.parts else [])
    interval = ["start"] if plan.request.interval is not None else []
    rows = []
    for one in groups:
        group = [] if one.group is None else [*(one.group.values or [None] * plan.parts), one.group.other]
        for figures in (one,) if one.series is None else one.series:
            start = [figures.start] if isinstance(figures, SessionPoint) else []
            rows.append([*group, *start, *(getattr(figures, name) for name in _FIGURES)])
    return [*parts, *interval, *_FIGURES], rows


def _cell(plan: Plan, row: Sequence[Any]) -> Cell:
    values, (other, number, *counts) = row[: plan.parts], row[plan.parts :]
    group = None
    if plan.parts:
        shown = tuple(value.decode(errors="replace") or None for value in values)
        group = Group(other=True) if other else Group(values=shown)
    sessions, actors, events, bounces, duration, (median, p90) = counts
    return Cell(
        group,
        number,
        sessions,
        {
            "sessions": sessions,
            "actors": actors,
            "events": events,
            "bounces": bounces,
            "events_per_session": events / sessions,
            "bounce_rate": bounces / sessions,
            "mean_seconds": duration / sessions / 1000,
            "median_seconds": median / 1000,
            "p90_seconds": p90 / 1000,
        },
    )


def _group(plan: Plan, group: Group | None, cells: dict[int, Cell]) -> SessionGroup:
    series = None
    if plan.request.interval is not None:
        series = tuple(
            SessionPoint(start=buckets.label(start, plan.frame.timezone), **_figures(cells.get(number)))
            for number, start in enumerate(plan.bounds[:-1])
        )
    return SessionGroup(group=group, series=series, **_figures(cells.get(WHOLE)))


def _figures(cell: Cell | None) -> dict[str, Any]:
    if cell is None:
        return {name: 0 if name in _FIGURES[:4] else None for name in _FIGURES}
    return cell.figures
