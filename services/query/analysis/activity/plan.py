"""A question about activity once everything in it is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from contracts.analysis import LETTERS, AnalyseBy, Breakdown, Group, Letter, Period, Series
from contracts.errors import InvalidRequest, LimitExceeded
from contracts.lifecycle import WholePeriod
from contracts.predicates import Predicate
from services.kit.cursor import Cursor
from services.kit.predicates import check_predicate
from services.kit.service import RequestContext
from services.query.analysis import buckets
from services.query.analysis.breakdown import check_breakdown
from services.query.analysis.source import Column, Source, asked_of_all, check_series, tables_of
from services.query.analysis.subject import Subject, subject_of
from services.query.frame import Analysis, Frame, depends_on_clock
from services.query.resources import Resources

MAX_NUMBERS: Final = 500_000
FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""The earliest moment of an event."""


class Request(Analysis, Protocol):
    """What questions about activity have in common."""

    @property
    def series(self) -> tuple[Series, ...]: ...
    @property
    def period(self) -> Period: ...
    @property
    def breakdown(self) -> Breakdown | None: ...
    @property
    def analyse_by(self) -> AnalyseBy: ...
    @property
    def where(self) -> Predicate | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whole periods: n + 1 `bounds` of n of them (one for none); events count before `end`."""

    bounds: tuple[datetime, ...]
    end: datetime

    @property
    def size(self) -> int:
        """The number of periods."""
        return len(self.bounds) - 1

    def shown(self, frame: Frame) -> tuple[WholePeriod, ...]:
        """Return the periods as answers write them."""
        return tuple(
            WholePeriod(start=buckets.label(start, frame.timezone), incomplete=end > frame.as_of)
            for start, end in zip(self.bounds[:-1], self.bounds[1:], strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked request with its frame; `span`: the periods of its range."""

    request: Request
    frame: Frame
    subject: Subject
    span: Span

    def events(self, series: int, start: datetime | None, end: datetime, columns: Mapping[str, Column]) -> str:
        """Return a SELECT of the events of a series in [start, end): `actor`, the own key, `ts`, and `columns`."""
        request = self.request
        return Source(
            frame=self.frame,
            subject=self.subject,
            series=(request.series[series],),
            start=None if start is None else max(start, FIRST),
            end=end,
            where=asked_of_all(request.where, self.frame, include_internal=request.include_internal),
            columns=columns,
            distinct=False,
            resolved=False,
            pointers=(f"/series/{series}",),
        ).sql()

    @property
    def relative(self) -> bool:
        """Whether the answer moves with as_of in other ways than by its range."""
        asked = [self.request.where, self.frame.internal, *(one.where for one in self.request.series)]
        return self.span.bounds[-1] > self.frame.as_of or any(map(depends_on_clock, asked))

    @property
    def resolved(self) -> bool:
        """Whether the answer depends on whose an event is."""
        return self.subject.by in ("actor", "session")

    def number_of(self, series: Letter) -> int:
        """Return the number of a series, from 0.

        Raises:
            InvalidRequest: there is no such series.
        """
        letters = LETTERS[: len(self.request.series)]
        if series not in letters:
            raise InvalidRequest.at("/series", f"there are {len(letters)} series: {', '.join(letters)}")
        return letters.index(series)

    def check_group(self, group: Group | None) -> None:
        """Refuse a group that no answer can have.

        Raises:
            InvalidRequest: names the field.
        """
        if group is None:
            return
        if self.request.breakdown is None:
            raise InvalidRequest.at("/group", "the query has no breakdown")
        wanted = 0 if group.other else len(self.request.breakdown.by)
        if len(group.values) != wanted:
            raise InvalidRequest.at("/group/values", f"must be {wanted}: one for each part, none for `other`")


async def settle(
    resources: Resources, request: Request, context: RequestContext, *, page: Cursor | None = None
) -> Plan:
    """Check a request and settle what it means.

    Raises:
        InvalidRequest: something in it cannot be.
    """
    check(request)
    tables = tables_of(request.series)
    subject = subject_of(request.analyse_by, tables)
    frame = await resources.settle_analysis(request, tables, context, page=page)
    assert frame.start is not None, "a question about activity has a start"
    return Plan(request=request, frame=frame, subject=subject, span=span_of(frame.start, frame.end, request, frame))


def check_size(plan: Plan, numbers: int) -> None:
    """Refuse an answer that is too large; `numbers`: what each of its lines has.

    Raises:
        LimitExceeded: says what would help.
    """
    breakdown = plan.request.breakdown
    size = len(plan.request.series) * (1 if breakdown is None else breakdown.limit + 1) * numbers
    if size > MAX_NUMBERS:
        raise LimitExceeded(
            f"the answer may have {size:,} numbers, more than {MAX_NUMBERS:,}: take longer periods or fewer groups"
        )


def span_of(start: datetime, end: datetime, request: Request, frame: Frame) -> Span:
    """Return the periods that touch [start, end).

    Raises:
        InvalidRequest: too many.
    """
    found = buckets.bounds(
        start, end, request.period, timezone=frame.timezone, week_start=frame.week_start, pointer="/period"
    )
    return until_now(tuple(found), frame)


def until_now(bounds: tuple[datetime, ...], frame: Frame) -> Span:
    """Return periods of which nothing counts that is not known yet."""
    return Span(bounds=bounds, end=min(bounds[-1], frame.history_end))


def check(request: Request) -> None:
    """Refuse what cannot be, before anything else is known.

    Raises:
        InvalidRequest: names the field.
    """
    for number, one in enumerate(request.series):
        check_series(one, f"/series/{number}")
        if one.occurrence != "any":
            raise InvalidRequest.at(f"/series/{number}/occurrence", "must be any: activity is made of all events")
        if request.breakdown is not None:
            check_breakdown(request.breakdown, tables_of([one]))
    if request.where is not None:
        check_predicate(request.where, tables_of(request.series))
