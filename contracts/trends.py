"""Trends: numbers over time. Meanings: docs/trends.md."""

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
    Label,
    Letter,
    Series,
)
from contracts.base import Message
from contracts.common import Facts, Moment, TimeZone, WeekStart
from contracts.predicates import FieldName, Predicate

Measure: TypeAlias = Literal[
    "total",
    "actors",
    "sessions",
    "per_actor",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "p90",
    "p95",
    "p99",
    "unique",
    "wau",
    "mau",
]
FIELD_MEASURES: Final[frozenset[Measure]] = frozenset(
    {"sum", "avg", "min", "max", "median", "p90", "p95", "p99", "unique"}
)
"""Those that ask for a `field`."""
Number: TypeAlias = int | float | None


class TrendSeries(Series, frozen=True, kw_only=True):
    """A line. `field` is what sum, avg, min, max, median, p90, p95, p99 and unique are of; `wau` and `mau` count the
    actors of the 7 and 30 local days that end with the bucket's last."""

    measure: Measure = "total"
    field: FieldName | None = None


class Comparison(Message, frozen=True, kw_only=True):
    """The same numbers over the range moved back: by as many intervals as it has (`previous`), or by a duration."""

    offset: Annotated[
        str, Meta(pattern=r"^(previous|-[0-9]{1,9}(min|h|d|w|m))$", examples=["previous", "-1m", "-364d"])
    ] = "previous"


class TrendsRequest(Message, frozen=True, kw_only=True):
    """Up to ten series, called A to J in `formula`. `cumulative`: each value is of all from `from` to the bucket's
    end."""

    series: Annotated[tuple[TrendSeries, ...], Meta(min_length=1, max_length=10)]
    interval: Interval = "day"
    formula: Annotated[str, Meta(min_length=1, max_length=500, examples=["A / B"])] | None = None
    formula_label: Label = ""
    compare: Comparison | None = None
    cumulative: bool = False
    breakdown: Breakdown | None = None
    from_: Moment = named(default="-30d", name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    week_start: WeekStart | None = None
    as_of: Moment | None = None
    analyse_by: AnalyseBy = "actor"
    where: Predicate | None = None
    include_internal: bool = False


class TrendBucket(Message, frozen=True, kw_only=True):
    """`start`: local time with its offset. `incomplete`: the range or as_of cuts it."""

    start: str
    incomplete: bool


class ComparedValues(Message, frozen=True, kw_only=True):
    """A line over the range it is compared with: one value for each of the `compared` buckets."""

    values: tuple[Number, ...]
    total: Number


class TrendLine(Message, frozen=True, kw_only=True):
    """One value for each bucket, and the `total` over the range, which need not be their sum. `series`: A to J, or
    `formula`; `group`: null without a breakdown."""

    series: Letter | Literal["formula"]
    label: str
    group: Group | None
    values: tuple[Number, ...]
    total: Number
    compared: ComparedValues | None = None


class TrendsResult(Message, frozen=True, kw_only=True):
    """`data`: series by series and then the formula; of each its groups, greatest first, `other` last."""

    buckets: tuple[TrendBucket, ...]
    compared: tuple[TrendBucket, ...] | None
    data: tuple[TrendLine, ...]
    meta: Facts


class TrendsActorsRequest(Message, frozen=True, kw_only=True):
    """The actors behind a value of `series`: of the bucket that begins at `bucket`, or of the whole range; `group`: of
    one group; `compared`: of the range it is compared with."""

    query: TrendsRequest
    series: Letter = "A"
    bucket: Moment | None = None
    group: Group | None = None
    compared: bool = False
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


EXAMPLES: Final[Mapping[str, Any]] = {
    "orders and revenue by week": {
        "series": [
            {"names": ["Order Completed"], "label": "Orders"},
            {"names": ["Order Completed"], "measure": "sum", "field": "properties.revenue", "label": "Revenue"},
        ],
        "formula": "B / A",
        "formula_label": "Average order",
        "interval": "week",
        "from": "-8w",
        "compare": {"offset": "previous"},
    },
    "visitors a week by language": {
        "series": [{"table": "page", "measure": "wau"}],
        "from": "-14d",
        "breakdown": {"by": ["context.locale"], "limit": 3},
    },
}
ACTORS_EXAMPLES: Final[Mapping[str, Any]] = {
    "who ordered yesterday": {
        "query": {"series": [{"names": ["Order Completed"], "measure": "actors"}], "from": "-1d", "to": "-0d"},
        "limit": 3,
    },
}
