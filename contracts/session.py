"""Sessions: visits, told apart by the time between an actor's events. Meanings: docs/sessions.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec import field as named

from contracts.analysis import ActorsLimit, AnalyseBy, Breakdown, Cursor, Group, Interval
from contracts.base import Message
from contracts.common import Actor, Facts, Moment, Tables, TimeZone, WeekStart
from contracts.predicates import Predicate

Timeout: TypeAlias = Annotated[int, Meta(ge=1, le=31_622_400, description="Seconds")]
MaxDuration: TypeAlias = Annotated[int, Meta(ge=60, le=31_622_400, description="Seconds")]


class SessionRequest(Message, frozen=True, kw_only=True):
    """Figures of the sessions in a range. A gap longer than `timeout` begins a new session, and so does an event more
    than `max_duration` after the session's first. `breakdown`: fields of a session's first event, `entry_page`,
    `exit_page`."""

    table: Tables = ("track", "page")
    timeout: Timeout = 1_800
    max_duration: MaxDuration = 86_400
    interval: Annotated[Interval | None, Meta(description="Figures of each interval, besides those of the range")] = (
        None
    )
    breakdown: Breakdown | None = None
    from_: Moment = named(default="-30d", name="from")
    to: Moment | None = None
    timezone: TimeZone | None = None
    week_start: WeekStart | None = None
    as_of: Moment | None = None
    analyse_by: AnalyseBy = "actor"
    where: Predicate | None = None
    include_internal: bool = False


class SessionFigures(Message, frozen=True, kw_only=True):
    """`actors`: those with a session. `bounces`: sessions of one event. Seconds are from a session's first event to its
    last, 0 for a bounce. Means and rates are null without sessions."""

    sessions: int
    actors: int
    events: int
    bounces: int
    events_per_session: float | None
    bounce_rate: float | None
    mean_seconds: float | None
    median_seconds: float | None
    p90_seconds: float | None


class SessionPoint(SessionFigures, frozen=True, kw_only=True):
    """Figures of the sessions that begin in the interval that begins at `start` (local time with offset)."""

    start: str


class SessionGroup(SessionFigures, frozen=True, kw_only=True):
    """All sessions, or those of one group of the breakdown; `series`: null unless an interval was asked for."""

    group: Group | None
    series: tuple[SessionPoint, ...] | None


class SessionResult(Message, frozen=True, kw_only=True):
    """`data`: all sessions (group null), or with a breakdown its groups, most sessions first, `other` last."""

    data: tuple[SessionGroup, ...]
    meta: Facts


class SessionActorsRequest(Message, frozen=True, kw_only=True):
    """The actors with a session; `group`: of one group of the breakdown; `interval`: that begins in the interval of the
    series that begins then."""

    query: SessionRequest
    group: Group | None = None
    interval: Moment | None = None
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


class SessionListRequest(Message, frozen=True, kw_only=True):
    """The sessions themselves, selected as in SessionActorsRequest, by start (ties by actor)."""

    query: SessionRequest
    group: Group | None = None
    interval: Moment | None = None
    order: Literal["newest", "oldest"] = "newest"
    limit: ActorsLimit = 100
    cursor: Cursor | None = None


class ListedSession(Message, frozen=True, kw_only=True):
    """`actor` when resolved actors or users were asked for, else the text of the field in `key`. Pages: paths of the
    first and last page event, null without one."""

    actor: Actor | None
    key: str | None
    start: datetime
    end: datetime
    events: int
    seconds: float
    entry_page: str | None
    exit_page: str | None


class SessionListPage(Message, frozen=True, kw_only=True):
    """`total`: all sessions selected. `next_cursor`: null on the last page."""

    data: tuple[ListedSession, ...]
    total: int
    next_cursor: str | None
    meta: Facts


EXAMPLES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "visits a day": {"interval": "day", "from": "-7d"},
        "where visits begin": {"breakdown": {"by": ["entry_page"], "limit": 5}},
        "ten minutes of silence end a visit": {"table": "page", "timeout": 600, "from": "-7d"},
    }
)
ACTORS_EXAMPLES: Final[Mapping[str, Any]] = MappingProxyType({"who came": {"query": {"from": "-7d"}, "limit": 3}})
LIST_EXAMPLES: Final[Mapping[str, Any]] = MappingProxyType({"the newest": {"query": {"from": "-1d"}, "limit": 3}})
