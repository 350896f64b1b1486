"""The ranges that a request looks at, each with its buckets: the one it names, and the one it is compared with."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contracts.analysis import Interval
from contracts.errors import InvalidRequest
from contracts.trends import Measure, TrendBucket, TrendsRequest
from services.kit import timerange
from services.kit.timerange import Duration
from services.query.analysis import buckets
from services.query.frame import Frame

OFFSET: Final = "/compare/offset"
WINDOW_DAYS: Final[dict[Measure, int]] = {"wau": 7, "mau": 30}
_INSTANT: Final = timedelta(microseconds=1)
_UNITS: Final[dict[Interval, str]] = {"minute": "min", "hour": "h", "day": "d", "week": "w", "month": "m"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """[start, end) and the bounds of the buckets that touch it: n + 1 instants for n buckets, one for none."""

    start: datetime
    end: datetime
    as_of: datetime
    bounds: tuple[datetime, ...]

    @property
    def size(self) -> int:
        """The number of buckets."""
        return len(self.bounds) - 1

    def shown(self, timezone: str) -> tuple[TrendBucket, ...]:
        """Return the buckets as answers write them."""
        return tuple(
            TrendBucket(
                start=buckets.label(start, timezone),
                incomplete=start < self.start or end > min(self.end, self.as_of),
            )
            for start, end in zip(self.bounds[:-1], self.bounds[1:], strict=True)
        )

    def part(self, bucket: int | None) -> tuple[datetime, datetime]:
        """Return what lies in the range of a bucket, or the whole range."""
        if bucket is None:
            return self.start, self.end
        return max(self.start, self.bounds[bucket]), min(self.end, self.bounds[bucket + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The local days of a range and of the windows of `length` days that each end with the last day of a bucket.

    `bounds` as of a Period. `last`: the number of each bucket's last day; the last bucket's is the range's.
    """

    length: int
    bounds: tuple[datetime, ...]
    last: tuple[int, ...]

    def window(self, bucket: int | None) -> tuple[datetime, datetime]:
        """Return where the window of a bucket, or of the whole range, begins and ends."""
        last = self.last[-1 if bucket is None else bucket]
        return self.bounds[last - self.length + 1], self.bounds[last + 1]


def current(request: TrendsRequest, frame: Frame) -> Period:
    """Return the request's own range.

    Raises:
        InvalidRequest: it has too many buckets.
    """
    assert frame.start is not None, "a range of trends has a start"
    return _period(frame.start, frame.end, request.interval, frame)


def compared(request: TrendsRequest, frame: Frame, period: Period) -> Period | None:
    """Return the range that the request's own `period` is compared with, if it is.

    Raises:
        InvalidRequest: the offset is no step back, or leads out of the calendar or to too many buckets.
    """
    if request.compare is None:
        return None
    if request.compare.offset == "previous":
        back = Duration(period.size, _UNITS[request.interval])
    else:
        back = timerange.parse_duration(request.compare.offset[1:], OFFSET)
        if not back.amount:
            raise InvalidRequest.at(OFFSET, "must go back by more than nothing")
    start, end = (
        timerange.shift(moment, back, sign=-1, timezone=frame.timezone, pointer=OFFSET)
        for moment in (period.start, period.end)
    )
    return _period(start, end, request.interval, frame)


def days_of(period: Period, length: int, frame: Frame) -> Days:
    """Return the days of a period and of the windows that end with its buckets."""
    ends = [_last_instant(period, number) for number in range(period.size)] or [period.end]
    first = _bounds(ends[0], ends[0] + _INSTANT, "day", frame)[0]
    before = buckets.before(first, length - 1, "day", timezone=frame.timezone, week_start=frame.week_start)
    # Every event that is read has its day, also where no window looks: long before a bucket's end, or after as_of.
    bounds = _bounds(min([*before, first, period.start]), max(ends[-1] + _INSTANT, period.end), "day", frame)
    last = tuple(bisect_right(bounds, end) - 1 for end in ends)
    return Days(length=length, bounds=bounds, last=last)


def _last_instant(period: Period, number: int) -> datetime:
    """Return the last instant of a bucket that counts: inside the range, and if the bucket is running, as_of."""
    start, end = period.bounds[number], period.bounds[number + 1]
    last = min(end, period.end) - _INSTANT
    return min(last, period.as_of) if start <= period.as_of else last


def _period(start: datetime, end: datetime, interval: Interval, frame: Frame) -> Period:
    return Period(start=start, end=end, as_of=frame.as_of, bounds=_bounds(start, end, interval, frame))


def _bounds(start: datetime, end: datetime, interval: Interval, frame: Frame) -> tuple[datetime, ...]:
    return tuple(buckets.bounds(start, end, interval, timezone=frame.timezone, week_start=frame.week_start))
