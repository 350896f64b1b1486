"""What a request means once its clock, time zone, range and tables are settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from contracts.caching import CachePolicy
from contracts.common import Moment, TableName, Tables, TimeZone, WeekStart
from contracts.predicates import AllElements, And, AnyElement, Not, Or, Predicate, WithinLast, WithinNext
from contracts.workspace import Limits, WorkspaceSettings
from services.kit import timerange, times
from services.kit.cost import NO_LIMITS
from services.kit.identity import Blocked
from services.kit.predicates import Scope, traits_named


class Ranged(Protocol):
    """The fields that every question about events has."""

    @property
    def from_(self) -> Moment | None: ...
    @property
    def to(self) -> Moment | None: ...
    @property
    def timezone(self) -> TimeZone | None: ...
    @property
    def as_of(self) -> Moment | None: ...


class OfTables(Ranged, Protocol):
    """A question about whole tables."""

    @property
    def table(self) -> Tables: ...


class Analysis(Ranged, Protocol):
    """A question about series of events, each with its own tables."""

    @property
    def week_start(self) -> WeekStart | None: ...
    @property
    def include_internal(self) -> bool: ...


Reads: TypeAlias = tuple[datetime | None, datetime]
"""A half-open range of event time; without a start, all history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Instants are UTC; `start` is None for all history; `pinned`: the clock does not move between two requests."""

    workspace: UUID
    tables: tuple[TableName, ...]
    timezone: str
    as_of: datetime
    start: datetime | None
    end: datetime
    pinned: bool
    week_start: WeekStart = "monday"
    internal: Predicate | None = None
    """Events of the workspace's internal users, whom analyses leave out."""
    blocked: Blocked | None = None
    limits: Limits = NO_LIMITS
    traits: tuple[str, ...] = ()
    """Of profiles, that the request asks of."""

    @property
    def history_end(self) -> datetime:
        """Where an actor's whole history ends: what comes later is not known yet."""
        return max(self.end, self.as_of)

    def scope(self, table: TableName) -> Scope:
        """Return where expressions over one table stand."""
        return Scope(
            workspace=self.workspace,
            tables=(table,),
            as_of=self.as_of,
            timezone=self.timezone,
            blocked=self.blocked,
            traits=self.traits,
        )


def settle(
    request: Ranged,
    workspace: UUID,
    settings: WorkspaceSettings,
    *,
    tables: tuple[TableName, ...],
    week_start: WeekStart | None = None,
    now: datetime,
    passed_on: datetime | None,
    fixed: tuple[datetime, str] | None = None,
) -> Frame:
    """Resolve what a request takes for granted; its times as in `services.kit.times.settle`.

    Raises:
        InvalidRequest: a time or a zone that is none, or `to` before `from`.
    """
    found = times.settle(
        settings,
        from_=request.from_,
        to=request.to,
        timezone=request.timezone,
        as_of=request.as_of,
        now=now,
        passed_on=passed_on,
        fixed=fixed,
    )
    return Frame(
        workspace=workspace,
        tables=tables,
        timezone=found.timezone,
        as_of=found.as_of,
        start=found.start,
        end=found.end,
        pinned=settings.clock is not None or (request.as_of is not None and not timerange.is_relative(request.as_of)),
        week_start=week_start or settings.week_start,
        internal=settings.internal_users,
        blocked=Blocked.of(workspace, settings.blocked_ids),
        limits=settings.limits,
        traits=traits_named(request, settings.internal_users),
    )


def cache_policy(
    request: Ranged,
    frame: Frame,
    *,
    now: datetime,
    ttl: int,
    closed_ttl: int,
    relative: bool,
    resolved: bool,
    reads: Reads | None = None,
) -> CachePolicy:
    """Return how an answer may be cached.

    A closed range (over before now, and meaning the same tomorrow) lives longer and is dropped when late events touch
    it. `relative`: the request depends on as_of in another way than by its range (`within_last`). `resolved`: the
    answer shows or selects actors, whom an event of any time may link to someone else: when one arrives, it lives no
    longer than others. `reads`: what the answer was computed from when that is more than its range.
    """
    start, end = reads or (frame.start, frame.end)
    moves = not frame.pinned and (
        relative
        or request.to is None
        or timerange.is_relative(request.to)
        or (request.from_ is not None and timerange.is_relative(request.from_))
    )
    closed = not moves and end <= now and not frame.traits  # a profile's traits may change at any time
    return CachePolicy(
        ttl=closed_ttl if closed else ttl,
        ttl_after_events=ttl if closed and resolved else None,
        start=round(start.timestamp() * 1000) if start is not None else None,
        end=round(end.timestamp() * 1000),
        closed=closed,
        tags=("workspace",),
    )


def depends_on_clock(predicate: Predicate | None) -> bool:
    """Tell whether a predicate's truth moves with as_of."""
    match predicate:
        case And() | Or():
            return any(depends_on_clock(item) for item in predicate.items)
        case Not():
            return depends_on_clock(predicate.item)
        case AnyElement() | AllElements():
            return depends_on_clock(predicate.where)
        case _:
            return isinstance(predicate, WithinLast | WithinNext)
