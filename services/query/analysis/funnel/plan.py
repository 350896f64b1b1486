"""A funnel request, checked and settled."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.errors import InvalidRequest
from contracts.funnel import FunnelRequest
from services.kit.cursor import Cursor
from services.kit.service import RequestContext
from services.query.analysis import buckets
from services.query.analysis.funnel import checks
from services.query.analysis.funnel.exact.rules import Rules, Span
from services.query.analysis.source import Source, asked_of_all, tables_of
from services.query.analysis.subject import Subject, subject_of
from services.query.frame import Frame, Reads, depends_on_clock
from services.query.resources import Resources

MAX_POINTS: Final = 100_000
"""Points of the trends of all groups together."""
_END_OF_TIME: Final = datetime(2299, 12, 31, 23, 59, 59, 999000, UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`entries`: the times, half open, in milliseconds, in which entries lie; `end`: of what is read. `bounds`: in
    milliseconds, where the trend's intervals begin, and last where they end."""

    request: FunnelRequest
    frame: Frame
    subject: Subject
    rules: Rules
    entries: Span
    end: datetime
    bounds: tuple[int, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """Return the pointers of the series: of the steps, then of the exclusions."""
        return (
            *(f"/steps/{index}" for index in range(len(self.request.steps))),
            *(f"/exclusions/{index}" for index in range(len(self.request.exclusions))),
        )

    @property
    def starts(self) -> list[datetime]:
        """Return where the trend's intervals begin."""
        return [_EPOCH + timedelta(milliseconds=bound) for bound in self.bounds[:-1]]

    @property
    def reads(self) -> Reads:
        """Return what the answer is computed from."""
        if any(one.occurrence != "any" for one in (*self.request.steps, *self.request.exclusions)):
            return None, max(self.end, self.frame.history_end)
        return self.frame.start, self.end

    @property
    def empty(self) -> bool:
        """Whether no event can be an entry."""
        return self.entries[0] >= self.entries[1]

    @property
    def intervals(self) -> int:
        """Return how many intervals the trend has."""
        return max(len(self.bounds) - 1, 0)

    def interval_of(self, time: int) -> int:
        """Return the number of the trend's interval that holds a time of `entries`."""
        return bisect_right(self.bounds, time) - 1

    def interval(self, number: int) -> Span:
        """Return the entries of an interval of the trend."""
        return max(self.bounds[number], self.entries[0]), min(self.bounds[number + 1], self.entries[1])

    def source(self, *, distinct: bool, every: bool = False) -> Source:
        """Return what is read, without further columns."""
        request = self.request
        return Source(
            frame=self.frame,
            subject=self.subject,
            series=(*request.steps, *request.exclusions),
            start=self.frame.start,
            end=self.end,
            where=asked_of_all(request.where, self.frame, include_internal=request.include_internal),
            columns={},
            distinct=distinct,
            every=every,
            pointers=self.series,
        )

    @property
    def depends_on_clock(self) -> bool:
        """Whether the answer moves with as_of in another way than by its range."""
        asked = [self.request.where, self.frame.internal]
        for one in (*self.request.steps, *self.request.exclusions):
            asked += [one.where, one.having]
        whole_history = any(one.occurrence != "any" for one in (*self.request.steps, *self.request.exclusions))
        return whole_history or any(map(depends_on_clock, asked))


async def settle(
    resources: Resources, request: FunnelRequest, context: RequestContext, *, page: Cursor | None = None
) -> Plan:
    """Check a request and resolve its times.

    Raises:
        InvalidRequest: it cannot be; names the field.
        Unavailable: the engine is none to answer it.
    """
    tables = tables_of((*request.steps, *request.exclusions))
    checks.check(request, tables)
    subject = subject_of(request.analyse_by, tables)
    await resources.engine.passed()
    frame = await resources.settle_analysis(request, tables, context, page=page)
    return Plan(
        request=request,
        frame=frame,
        subject=subject,
        rules=rules_of(request),
        entries=(_ceiling(frame.start or _EPOCH), _ceiling(frame.end)),
        end=_read_until(request, frame),
        bounds=_bounds(request, frame),
    )


def rules_of(request: FunnelRequest) -> Rules:
    """Return what a request asks of a chain."""
    last = len(request.steps)
    return Rules(
        steps=last,
        order=request.order,
        window=request.window * 1000,
        optional=frozenset(number for number, step in enumerate(request.steps, 1) if step.optional),
        exclusions=tuple((one.from_step, one.to_step or last) for one in request.exclusions),
        disqualify=bool(request.exclusions) and request.effect == "disqualify",
        named=request.breakdown is not None and request.breakdown.attribution == "step",
    )


def _read_until(request: FunnelRequest, frame: Frame) -> datetime:
    if request.range == "all_steps":
        return frame.end
    return min(frame.end, _END_OF_TIME - timedelta(seconds=request.window)) + timedelta(seconds=request.window)


def _bounds(request: FunnelRequest, frame: Frame) -> tuple[int, ...]:
    if request.trend is None or frame.start is None:
        return ()
    bounds = buckets.bounds(
        frame.start,
        frame.end,
        request.trend,
        timezone=frame.timezone,
        week_start=frame.week_start,
        pointer="/trend",
    )
    groups = 1 if request.breakdown is None else request.breakdown.limit + 1
    if groups * (len(bounds) - 1) > MAX_POINTS:
        raise InvalidRequest.at("/trend", f"more than {MAX_POINTS} points: take longer intervals or fewer groups")
    return tuple(map(buckets.milliseconds, bounds))


def _ceiling(moment: datetime) -> int:
    """Return a moment in milliseconds, rounded up: whole ones compare with it as with the moment."""
    return -((_EPOCH - moment) // timedelta(milliseconds=1))
