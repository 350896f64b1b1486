"""Stickiness: in how many periods actors are active. Meanings: docs/stickiness.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import ActorsLimit, AnalyseBy, Breakdown, Cursor, Group, Letter, Period, Series
from contracts.base import Message
from contracts.common import Facts, Moment, TimeZone, WeekStart
from contracts.lifecycle import WholePeriod
from contracts.predicates import Predicate
from contracts.trends import Comparison


class StickinessRequest(Message, frozen=True, kw_only=True):
    """How many actors are active in 1, 2, 3, … of the range's periods; `cumulative`: in that many or more."""

    series: Annotated[tuple[Series, ...], Meta(min_length=1, max_length=10)]
    period: Period = "day"
    cumulative: bool = False
    compare: Comparison | None = None
    breakdown: Breakdown | None = None
    from_: Moment = named(default="-30d", name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    week_start: WeekStart | None = None
    as_of: Moment | None = None
    analyse_by: AnalyseBy = "actor"
    where: Predicate | None = None
    include_internal: bool = False


class StickinessCounts(Message, frozen=True, kw_only=True):
    """`counts`: the nth is of n periods; `rates`: divided by `actors`, those active at all (null over 0); `mean`: of
    their numbers of periods."""

    actors: int
    counts: tuple[int, ...]
    rates: tuple[float | None, ...]
    mean: float | None


class StickinessLine(StickinessCounts, frozen=True, kw_only=True):
    """`series`: A to J; `group`: null without a breakdown; `compared`: the same of the earlier range."""

    series: Letter
    label: str
    group: Group | None
    compared: StickinessCounts | None = None


class StickinessResult(Message, frozen=True, kw_only=True):
    """`data`: series by series; of each its groups, greatest first, `other` last."""

    periods: tuple[WholePeriod, ...]
    compared: tuple[WholePeriod, ...] | None
    data: tuple[StickinessLine, ...]
    meta: Facts


class StickinessActorsRequest(Message, frozen=True, kw_only=True):
    """The actors that are active in `periods` periods (or more, if the query is cumulative); `group`: of one group;
    `compared`: in the range it is compared with."""

    query: StickinessRequest
    series: Letter = "A"
    periods: Annotated[int, Meta(ge=1, le=10_000)]
    group: Group | None = None
    compared: bool = False
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


EXAMPLES: Final[Mapping[str, Any]] = {
    "days with a visit": {
        "series": [{"table": "page"}],
        "from": "-14d",
        "compare": {"offset": "previous"},
    },
    "weeks with an order, at least": {
        "series": [{"names": ["Order Completed"]}],
        "period": "week",
        "from": "-8w",
        "cumulative": True,
    },
}
ACTORS_EXAMPLES: Final[Mapping[str, Any]] = {
    "who came every day": {
        "query": {"series": [{"table": "page"}], "from": "-6d", "cumulative": True},
        "periods": 3,
        "limit": 3,
    },
}
