"""Lifecycle: who is new, stays, comes back, stays away. Meanings: docs/lifecycle.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import ActorsLimit, AnalyseBy, Breakdown, Cursor, Group, Letter, Period, Series
from contracts.base import Message
from contracts.common import Facts, Moment, TimeZone, WeekStart
from contracts.predicates import Predicate

State: TypeAlias = Literal["new", "returning", "resurrecting", "dormant"]


class LifecycleRequest(Message, frozen=True, kw_only=True):
    """Who is new, stays, comes back, stays away, period by period. Each series is answered by itself."""

    series: Annotated[tuple[Series, ...], Meta(min_length=1, max_length=10)]
    period: Period = "day"
    breakdown: Breakdown | None = None
    from_: Moment = named(default="-30d", name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    week_start: WeekStart | None = None
    as_of: Moment | None = None
    analyse_by: AnalyseBy = "actor"
    where: Predicate | None = None
    include_internal: bool = False


class WholePeriod(Message, frozen=True, kw_only=True):
    """`start`: local time with its offset. `incomplete`: the period has not ended by as_of."""

    start: str
    incomplete: bool


class LifecycleLine(Message, frozen=True, kw_only=True):
    """Of each state one count for each period, none negative. `series`: A to J; `group`: null without a breakdown."""

    series: Letter
    label: str
    group: Group | None
    new: tuple[int, ...]
    returning: tuple[int, ...]
    resurrecting: tuple[int, ...]
    dormant: tuple[int, ...]


class LifecycleResult(Message, frozen=True, kw_only=True):
    """`data`: series by series; of each its groups, greatest first, `other` last."""

    periods: tuple[WholePeriod, ...]
    data: tuple[LifecycleLine, ...]
    meta: Facts


class LifecycleActorsRequest(Message, frozen=True, kw_only=True):
    """The actors in a state in the period that begins at `period`; `group`: of one group."""

    query: LifecycleRequest
    series: Letter = "A"
    period: Moment
    state: State
    group: Group | None = None
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


EXAMPLES: Final[Mapping[str, Any]] = {
    "buyers by week": {"series": [{"names": ["Order Completed"]}], "period": "week", "from": "-8w"},
    "visitors by language": {
        "series": [{"table": "page", "label": "Visitors"}],
        "from": "-14d",
        "breakdown": {"by": ["context.locale"], "limit": 3},
    },
}
ACTORS_EXAMPLES: Final[Mapping[str, Any]] = {
    "who stayed away yesterday": {
        "query": {"series": [{"table": "page"}], "from": "-7d"},
        "period": "-1d",
        "state": "dormant",
        "limit": 3,
    },
}
