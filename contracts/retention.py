"""Retention. Meanings: docs/retention.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import ActorsLimit, AnalyseBy, Breakdown, Cursor, Group, Period, Series
from contracts.base import Message
from contracts.common import Facts, Moment, TimeZone, WeekStart
from contracts.predicates import FieldName, Predicate

Bracket: TypeAlias = Annotated[int, Meta(ge=1, le=1_000)]
Column: TypeAlias = Annotated[int, Meta(ge=0, le=179)]
DEFAULT_PERIODS: Final = 8


class RetentionBreakdown(Breakdown, frozen=True, kw_only=True):
    """By the values on the cohort's first start event; `holding`: return events must carry the same."""

    holding: bool = False


class RetentionMeasure(Message, frozen=True, kw_only=True):
    """The sum of a number of the return events in a cell, or that sum divided by the cell's actors."""

    kind: Literal["sum", "mean"]
    field: FieldName


class RetentionRequest(Message, frozen=True, kw_only=True):
    """Who comes back. Without `return` any event that `start` names is one. `brackets` are columns of several periods,
    in place of `periods` (8 unless said). `range` `all`: nothing after `to` is a return."""

    start: Series
    return_: Series | None = named(default=None, name="return")
    cohorts: Literal["recurring", "first_time"] = "recurring"
    period: Period = "day"
    periods: Annotated[int, Meta(ge=1, le=180)] | None = None
    brackets: Annotated[tuple[Bracket, ...], Meta(max_length=179)] = ()
    cells: Literal["calendar", "rolling"] = "calendar"
    on_or_after: bool = False
    min_occurrences: Annotated[int, Meta(ge=1, le=10_000)] = 1
    range: Literal["starts", "all"] = "starts"
    measure: RetentionMeasure | None = None
    breakdown: RetentionBreakdown | None = None
    from_: Moment = named(default="-30d", name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    week_start: WeekStart | None = None
    as_of: Moment | None = None
    analyse_by: AnalyseBy = "actor"
    where: Predicate | None = None
    include_internal: bool = False


class RetentionColumn(Message, frozen=True, kw_only=True):
    """The periods after the row's own that a column stands for: `first` to `last`, which is null when it never ends."""

    first: int
    last: int | None


class RetentionRow(Message, frozen=True, kw_only=True):
    """The cohort of the period that begins at `start` (local time with offset). One entry a column: null where the cell
    has not begun; `incomplete` where it is still running. `values` only with a measure."""

    start: str
    size: int | None
    counts: tuple[int | None, ...]
    rates: tuple[float | None, ...]
    values: tuple[float | None, ...] | None = None
    incomplete: tuple[bool, ...]


class RetentionGroup(Message, frozen=True, kw_only=True):
    """One triangle: the whole, or one group of the breakdown. Averages, one a column, are over the complete cells of
    rows that are not empty; the means are weighted by size."""

    group: Group | None
    rows: tuple[RetentionRow, ...]
    mean: tuple[float | None, ...]
    median: tuple[float | None, ...]
    mean_values: tuple[float | None, ...] | None = None
    median_values: tuple[float | None, ...] | None = None


class RetentionResult(Message, frozen=True, kw_only=True):
    """`data`: the whole (group null), or with a breakdown its groups, greatest first, `other` last."""

    columns: tuple[RetentionColumn, ...]
    data: tuple[RetentionGroup, ...]
    meta: Facts


class RetentionActorsRequest(Message, frozen=True, kw_only=True):
    """The actors behind a cell: those of the row that begins at `row` that count in column `k`, or (`retained` false)
    those that do not; `group`: of one group of the breakdown."""

    query: RetentionRequest
    row: Moment
    k: Column
    retained: bool = True
    group: Group | None = None
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


_WEEKLY: Final = {
    "start": {"names": ["Order Completed"]},
    "cohorts": "first_time",
    "period": "week",
    "periods": 6,
    "from": "-8w",
}
EXAMPLES: Final[Mapping[str, Any]] = {
    "first buyers who buy again, by week": _WEEKLY,
    "visitors who buy on a later day, by channel": {
        "start": {"table": "page"},
        "return": {"names": ["Order Completed"]},
        "periods": 8,
        "on_or_after": True,
        "breakdown": {"by": ["context.campaign.source"], "limit": 5},
        "from": "-14d",
    },
    "revenue of each month's buyers": {
        "start": {"names": ["Order Completed"]},
        "period": "month",
        "periods": 4,
        "measure": {"kind": "sum", "field": "properties.revenue"},
        "from": "-4m",
    },
}
ACTORS_EXAMPLES: Final[Mapping[str, Any]] = {
    "buyers of a week who did not come back in the next": {
        "query": _WEEKLY | {"from": "2026-05-04", "to": "2026-06-01"},
        "row": "2026-05-04",
        "k": 1,
        "retained": False,
        "limit": 3,
    },
}
