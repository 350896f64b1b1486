"""Buckets of local time by brute force: the local clock is read again and again (docs/time.md, docs/analyses.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)


def starts(
    first: datetime, last: datetime, interval: str, zone: ZoneInfo, week_start: str = "monday"
) -> list[datetime]:
    """Return the instants of [first, last], whole minutes, at which a bucket begins: where the clock reads the start of
    one or jumps forward over it. A day, week or month begins once; an hour begins as often as the clock reads it."""
    found = []
    moment = first.astimezone(UTC)
    before = (moment - MINUTE).astimezone(zone)
    latest = _number(before, interval, week_start)
    while moment <= last:
        now = moment.astimezone(zone)
        number = _number(now, interval, week_start)
        if interval in ("minute", "hour"):
            whole = interval == "minute" or now.minute == 0
            begins = whole or number > _number(before, interval, week_start)
        else:
            begins = number > latest
        if begins:
            found.append(moment)
        latest = max(latest, number)
        before = now
        steady = moment.minute % 15 == 0 and now.utcoffset() == (moment + QUARTER).astimezone(zone).utcoffset()
        moment += QUARTER if steady and interval != "minute" else MINUTE
    return found


def _number(local: datetime, interval: str, week_start: str) -> int:
    """Return a number that grows from each bucket of a local clock to the next."""
    day = local.toordinal()
    match interval:
        case "minute":
            return (day * 24 + local.hour) * 60 + local.minute
        case "hour":
            return day * 24 + local.hour
        case "day":
            return day
        case "week":
            return (day - 1) // 7 if week_start == "monday" else day // 7
        case _:
            return local.year * 12 + local.month


def touching(
    start: datetime, end: datetime, interval: str, zone: ZoneInfo, week_start: str = "monday", *, before: int = 0
) -> list[datetime]:
    """Return the bounds of the hours, days, weeks or months that touch [start, end), and of `before` more: n + 1
    instants for n of them. An empty range touches none."""
    longest = {"hour": timedelta(hours=3), "day": timedelta(days=3), "week": timedelta(days=9)}.get(
        interval, timedelta(days=33)
    )
    first = start.astimezone(UTC).replace(second=0, microsecond=0)
    every = starts(first - longest * (before + 1), end + longest, interval, zone, week_start)
    head = max(place for place, moment in enumerate(every) if moment <= start)
    tail = min((place for place, moment in enumerate(every) if moment >= end), default=head)
    return every[head - before : (tail if end > start else head) + 1]
