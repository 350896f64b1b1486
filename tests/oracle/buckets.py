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
