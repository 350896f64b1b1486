"""Where hours, days, weeks and months begin in a time zone, as instants; and the SQL that finds an event's. The bounds
are computed here, not by the engine, so that every clock change follows docs/time.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from contracts.analysis import Interval
from contracts.common import WeekStart
from contracts.errors import InvalidRequest

MAX_BUCKETS: Final = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)
_SHORT: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


def bounds(
    start: datetime,
    end: datetime,
    interval: Interval,
    *,
    timezone: str,
    week_start: WeekStart,
    pointer: str = "/interval",
) -> list[datetime]:
    """Return the instants, in UTC, at which the buckets that touch [start, end) begin, and last the end of the last
    one: n + 1 instants for n buckets; one for an empty range.

    Raises:
        InvalidRequest: at `pointer`: more than MAX_BUCKETS buckets.
    """
    zone = ZoneInfo(timezone)
    found: list[datetime] = []
    for instant in _from(start, interval, zone, week_start):
        found.append(instant)
        if instant >= end or start >= end:
            return found
        if len(found) > MAX_BUCKETS:
            raise InvalidRequest.at(pointer, f"the range has more than {MAX_BUCKETS} of these: take longer ones")
    return found


def more(last: datetime, count: int, interval: Interval, *, timezone: str, week_start: WeekStart) -> list[datetime]:
    """Return `count` instants that follow the bucket start `last`."""
    following = _from(last, interval, ZoneInfo(timezone), week_start)
    next(following)
    return [instant for instant, _ in zip(following, range(count), strict=False)]


def before(first: datetime, count: int, interval: Interval, *, timezone: str, week_start: WeekStart) -> list[datetime]:
    """Return the `count` instants, oldest first, at which the buckets before the bucket start `first` begin."""
    length = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 31 * 86_400}[interval]
    # A day to spare: days and months differ in length, and one may be skipped altogether.
    early = first - timedelta(seconds=length * count + 2 * 86_400)
    found = []
    for instant in _from(early, interval, ZoneInfo(timezone), week_start):
        if instant >= first:
            break
        found.append(instant)
    return found[-count:] if count else []


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def label(moment: datetime, timezone: str) -> str:
    """Return an instant as answers write it: local time with its offset."""
    return moment.astimezone(ZoneInfo(timezone)).isoformat()


def start_of(ts: str, starts: Sequence[datetime]) -> str:
    """Return SQL of the start, in milliseconds, of the bucket that holds `ts` (SQL, milliseconds); `starts` ascend, and
    what lies before the first counts for it."""
    return f"roundDown({ts}, {_instants(starts)})"


def index_of(ts: str, starts: Sequence[datetime]) -> str:
    """Return SQL (UInt16) of the number, from 0, of the bucket that holds `ts`, as `start_of`."""
    numbers = f"CAST([{', '.join(map(str, range(len(starts))))}], 'Array(UInt16)')"
    return f"transform({start_of(ts, starts)}, {_instants(starts)}, {numbers}, toUInt16(0))"


def _instants(starts: Sequence[datetime]) -> str:
    # One cast of all: a function for each takes the engine seconds to analyse when there are thousands.
    return f"CAST([{', '.join(str(milliseconds(instant)) for instant in starts)}], 'Array(Int64)')"


def _from(start: datetime, interval: Interval, zone: ZoneInfo, week_start: WeekStart) -> Iterator[datetime]:
    """Yield the start of the bucket that holds `start`, and all that follow."""
    if interval in _SHORT:
        yield from _short(start, _SHORT[interval], zone)
        return
    day = start.astimezone(zone).date()
    if interval == "week":
        day -= timedelta(days=day.weekday() if week_start == "monday" else (day.weekday() + 1) % 7)
    elif interval == "month":
        day = day.replace(day=1)
    # Clocks that go back over midnight show the day before again: by then the new one has begun.
    while _instant(datetime.combine(_next(day, interval), time()), zone) <= start:
        day = _next(day, interval)
    last = None
    while True:
        instant = _instant(datetime.combine(day, time()), zone)
        if instant != last:  # a zone that skips a whole day has no bucket for it
            yield instant
        last = instant
        day = _next(day, interval)


def _next(day: date, interval: Interval) -> date:
    if interval == "month":
        return date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return day + timedelta(days=7 if interval == "week" else 1)


def _short(start: datetime, length: timedelta, zone: ZoneInfo) -> Iterator[datetime]:
    bound = _holding(start, length, zone)
    while True:
        yield bound
        bound = _following(bound, length, zone)


def _holding(moment: datetime, length: timedelta, zone: ZoneInfo) -> datetime:
    """Return the start of the minute or hour that holds a moment."""
    floor = moment - _since_whole(moment, length, zone)
    if _offset(floor, zone) == _offset(moment, zone):
        return floor
    change = _change(floor, moment, zone)
    return change if _begins(change, length, zone) else _holding(change - _INSTANT, length, zone)


def _following(moment: datetime, length: timedelta, zone: ZoneInfo) -> datetime:
    """Return the first start of a minute or hour after a moment."""
    ceiling = moment + length - _since_whole(moment, length, zone)
    if _offset(ceiling, zone) == _offset(moment, zone):
        return ceiling
    change = _change(moment, ceiling, zone)
    return change if _begins(change, length, zone) else _following(change, length, zone)


def _begins(change: datetime, length: timedelta, zone: ZoneInfo) -> bool:
    """Tell whether the clock, when it is changed, then reads a whole minute or hour, or jumps forward over one."""
    since = _since_whole(change, length, zone)
    after, before = (instant.astimezone(zone).replace(tzinfo=None) for instant in (change, change - _INSTANT))
    return not since or after - since > before


def _since_whole(moment: datetime, length: timedelta, zone: ZoneInfo) -> timedelta:
    local = moment.astimezone(zone).replace(tzinfo=None)
    return (local - datetime.combine(local.date(), time())) % length


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _change(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """Return when the offset changed between two moments, after which it is another one: a whole second."""
    low, high = early.replace(microsecond=0), late.replace(microsecond=0)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if _offset(middle, zone) == _offset(early, zone):
            low = middle
        else:
            high = middle
    return high


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)
