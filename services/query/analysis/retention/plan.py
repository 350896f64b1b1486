"""What a request means once its periods are instants: rows, columns, horizon, and which cells are there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from contracts.analysis import Series
from contracts.retention import DEFAULT_PERIODS, RetentionRequest
from services.query.analysis import buckets
from services.query.analysis.subject import Subject
from services.query.frame import Frame, Reads

Span: TypeAlias = tuple[int, int]
"""The first and last period after the row's own that a column stands for."""

ROLLING: Final = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
"""Lengths of periods counted from an actor's own anchor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A retention request, settled.

    `bounds`: the instants at which the periods that rows and columns stand for begin, and the last one's end; one alone
    when there are no rows. The first `rows` periods are the rows.
    """

    request: RetentionRequest
    frame: Frame
    subject: Subject
    start: Series
    returns: Series
    bounds: Sequence[datetime]
    rows: int
    spans: Sequence[Span]
    horizon: datetime

    @property
    def rolling(self) -> bool:
        """Whether columns are counted from each actor's anchor."""
        return self.request.cells == "rolling"

    @property
    def begin(self) -> datetime:
        """Where the first row begins."""
        return self.bounds[0]

    @property
    def is_empty(self) -> bool:
        """Whether there is no row that has begun."""
        return self.rows == 0 or self.begin >= self.horizon

    @property
    def end_of_starts(self) -> datetime:
        """Where start events end: with the last row, but never after the horizon."""
        return max(self.begin, min(self.bounds[self.rows], self.horizon))

    @property
    def starts_until(self) -> int:
        """The same in milliseconds, rounded up: whole ones compare with it as with the instant."""
        return buckets.milliseconds(self.end_of_starts + timedelta(microseconds=999))

    @property
    def reach(self) -> datetime:
        """Where return events end that some cell could hold, if the horizon did not."""
        if self.request.on_or_after:
            return max(self.horizon, self.begin)
        if self.rolling:
            return self.bounds[self.rows] + ROLLING[self.request.period] * (self.spans[-1][1] + 1)
        return self.bounds[-1]

    @property
    def end(self) -> datetime:
        """Where reading ends."""
        return max(self.begin, min(self.reach, self.horizon))

    @property
    def axis(self) -> Sequence[datetime]:
        """Where the periods that events fall into begin: the rows and what lies behind them, as far as it is read. The
        last one has no end: with `on_or_after` all later events are in it."""
        return [instant for instant in self.bounds if instant < self.end] or [self.begin]

    @property
    def reads(self) -> Reads:
        """The range of event time that the answer depends on."""
        occurrences = {self.start.occurrence, self.returns.occurrence}
        start = self.begin if occurrences == {"any"} else None
        return start, max(self.end, self.frame.history_end) if "last" in occurrences else self.end

    @property
    def grows(self) -> bool:
        """Whether the answer would be another if as_of were later."""
        later = self.request.on_or_after and self.request.range == "starts"
        return later or (self.reach > self.horizon and self.horizon == self.frame.as_of)

    def label(self, row: int) -> str:
        """Return a row's start as answers write it."""
        return buckets.label(self.bounds[row], self.frame.timezone)

    def has_begun(self, row: int, column: int) -> bool:
        """Tell whether a cell is there: else it is null."""
        return self._ends_of(row, column)[0] < self.horizon

    def is_running(self, row: int, column: int) -> bool:
        """Tell whether a cell has begun and is incomplete."""
        begin, end = self._ends_of(row, column)
        return begin < self.horizon < end

    def _ends_of(self, row: int, column: int) -> tuple[datetime, datetime]:
        first, last = self.spans[column]
        if self.rolling and column:
            length = ROLLING[self.request.period]
            return self.bounds[row] + length * first, self.bounds[row + 1] + length * (last + 1)
        return self.bounds[row + first], self.bounds[row + last + 1]


def planned(request: RetentionRequest, frame: Frame, subject: Subject) -> Plan:
    """Settle a request that has been checked.

    Raises:
        InvalidRequest: more periods than can be.
    """
    assert frame.start is not None, "`from` has a default"
    start, returns = series_of(request)
    spans = spans_of(request)
    week_start = frame.week_start
    rows = buckets.bounds(
        frame.start, frame.end, request.period, timezone=frame.timezone, week_start=week_start, pointer="/period"
    )
    behind = 0 if request.cells == "rolling" or len(rows) == 1 else spans[-1][1]
    following = buckets.more(rows[-1], behind, request.period, timezone=frame.timezone, week_start=week_start)
    return Plan(
        request=request,
        frame=frame,
        subject=subject,
        start=start,
        returns=returns,
        bounds=[*rows, *following],
        rows=len(rows) - 1,
        spans=spans,
        horizon=frame.as_of if request.range == "starts" else min(frame.as_of, frame.end),
    )


def series_of(request: RetentionRequest) -> tuple[Series, Series]:
    """Return the start, as its cohorts mean it, and the return."""
    start = request.start
    if request.cohorts == "first_time":
        start = msgspec.structs.replace(start, occurrence="first")
    if request.return_ is not None:
        return start, request.return_
    return start, msgspec.structs.replace(start, occurrence="any", having=None)


def spans_of(request: RetentionRequest) -> list[Span]:
    """Return the periods of each column; the first is the row's own."""
    if not request.brackets:
        return [(k, k) for k in range(request.periods or DEFAULT_PERIODS)]
    ends = list(itertools.accumulate(request.brackets))
    return [(0, 0), *((end - length + 1, end) for end, length in zip(ends, request.brackets, strict=True))]
