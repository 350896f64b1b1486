"""Funnels. Meanings: docs/funnel.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import (
    ActorsLimit,
    AnalyseBy,
    Breakdown,
    Cursor,
    Group,
    Interval,
    Series,
)
from contracts.base import Message
from contracts.common import Facts, Moment, TimeZone, WeekStart
from contracts.predicates import FieldName, Predicate

StepNumber: TypeAlias = Annotated[int, Meta(ge=1, le=20)]


class Step(Series, frozen=True, kw_only=True):
    """One step. An `optional` one may be left out of a chain; not the first, and only in ordered funnels without
    exclusions."""

    optional: bool = False


class Exclusion(Series, frozen=True, kw_only=True):
    """Events that must not happen after step `from_step` and before the next step up to `to_step` (default: the last)
    that is reached."""

    from_step: StepNumber = 1
    to_step: StepNumber | None = None


class FunnelBreakdown(Breakdown, frozen=True, kw_only=True):
    """`attribution` says which event's values an actor stands under; with `all_events` each value is a funnel of its
    own over the events that carry it; `step` names the step of attribution `step`."""

    attribution: Literal["first_touch", "last_touch", "all_events", "step"] = "first_touch"
    step: StepNumber | None = None


class TimeToConvert(Message, frozen=True, kw_only=True):
    """A histogram of the seconds from one step to a later one; without `bins` there are ceil(cbrt n)."""

    from_step: StepNumber
    to_step: StepNumber
    bins: Annotated[int, Meta(ge=1, le=1_000)] | None = None


class FunnelRequest(Message, frozen=True, kw_only=True):
    """How far actors get along steps. `window` in seconds (1 s to 366 days) runs from step 1 and includes its end."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=20)]
    order: Literal["ordered", "strict", "any"] = "ordered"
    window: Annotated[int, Meta(ge=1, le=31_622_400, description="Seconds")] = 1_209_600
    range: Literal["entries", "all_steps"] = "entries"
    exclusions: Annotated[tuple[Exclusion, ...], Meta(max_length=10)] = ()
    effect: Literal["stop", "disqualify"] = "stop"
    holding: Annotated[tuple[FieldName, ...], Meta(max_length=3)] = ()
    breakdown: FunnelBreakdown | None = None
    times: bool = False
    trend: Interval | None = None
    time_to_convert: TimeToConvert | None = None
    from_: Moment = named(default="-30d", name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    week_start: WeekStart | None = None
    as_of: Moment | None = None
    analyse_by: AnalyseBy = "actor"
    where: Predicate | None = None
    include_internal: bool = False


class Seconds(Message, frozen=True, kw_only=True):
    """Seconds between two steps over the actors that reached the later one; null when nobody did."""

    mean: float | None
    median: float | None
    p90: float | None


class FunnelStep(Message, frozen=True, kw_only=True):
    """`count`: actors that reached the step (`any`: were served so many steps). Rates are fractions, null over 0.
    `dropped`: reached the last required step before, not this. Step 1 has nothing before it: null. Times are null
    unless asked for."""

    step: int
    label: str
    count: int
    from_previous: float | None
    from_first: float | None
    dropped: int | None
    seconds_from_previous: Seconds | None = None
    seconds_from_first: Seconds | None = None


class TrendPoint(Message, frozen=True, kw_only=True):
    """Actors with an entry in the interval that begins at `start` (local time with offset): one count a step."""

    start: str
    counts: tuple[int, ...]


class Bin(Message, frozen=True, kw_only=True):
    """Half open: `start` ≤ seconds < `end`."""

    start: float
    end: float
    count: int


class FunnelGroup(Message, frozen=True, kw_only=True):
    """One funnel: the whole, or one group of the breakdown."""

    group: Group | None
    steps: tuple[FunnelStep, ...]
    trend: tuple[TrendPoint, ...] | None = None
    time_to_convert: tuple[Bin, ...] | None = None


class FunnelResult(Message, frozen=True, kw_only=True):
    """`data`: the whole funnel (group null), or with a breakdown its groups, greatest first, `other` last."""

    data: tuple[FunnelGroup, ...]
    meta: Facts


class FunnelActorsRequest(Message, frozen=True, kw_only=True):
    """The actors behind a count of a funnel: those that reached `step`, or (`dropped`) the step before but not it;
    `group`: of that group of the breakdown; `interval`: of the trend's interval that begins then."""

    query: FunnelRequest
    step: StepNumber
    dropped: bool = False
    group: Group | None = None
    interval: Moment | None = None
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


_PURCHASE: Final[Mapping[str, Any]] = {
    "steps": [{"names": ["Product Viewed"]}, {"names": ["Product Added"]}, {"names": ["Order Completed"]}],
    "window": 604_800,
}
EXAMPLES: Final[Mapping[str, Any]] = {
    "from the product to the order, with times": {**_PURCHASE, "times": True},
    "by the channel of the visit, week by week": {
        **_PURCHASE,
        "breakdown": {"by": ["context.campaign.source"], "limit": 5},
        "trend": "week",
        "from": "-8w",
    },
    "the same product all the way, in one go": {
        "steps": [{"names": ["Product Viewed"]}, {"names": ["Product Added"]}],
        "window": 3_600,
        "holding": ["properties.product_id"],
        "exclusions": [{"names": ["Product Removed"]}],
        "time_to_convert": {"from_step": 1, "to_step": 2, "bins": 6},
    },
}
ACTORS_EXAMPLES: Final[Mapping[str, Any]] = {
    "who put something into the cart and did not buy": {
        "query": _PURCHASE,
        "step": 3,
        "dropped": True,
        "limit": 3,
    },
}
