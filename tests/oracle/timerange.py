"""Local times, moments and durations by brute force: every minute of the clock is looked at (docs/time.md)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
LONGEST_CHANGE = timedelta(hours=27)
"""No zone was ever further than this from UTC plus its greatest jump (Samoa and Kwajalein skipped a whole day)."""


@lru_cache(maxsize=1_000)
def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant whose local clock reads `local`; in a gap, go on by the length of the gap.

    Clocks are looked at minute by minute, so only offsets of whole minutes are followed.
    """
    guess = local.replace(tzinfo=UTC) - LONGEST_CHANGE
    guess = guess.replace(second=local.second, microsecond=local.microsecond)
    before = guess
    for _ in range(int(2 * LONGEST_CHANGE / MINUTE)):
        reading = guess.astimezone(zone).replace(tzinfo=None)
        if reading == local:
            return guess
        if reading < local:
            before = guess
        guess += MINUTE
    offset = before.astimezone(zone).utcoffset()
    assert offset is not None
    return local.replace(tzinfo=UTC) - offset


def days_away(day: date, days: int) -> date:
    """Walk day by day."""
    for _ in range(abs(days)):
        day = day + timedelta(days=1) if days > 0 else day - timedelta(days=1)
    return day


def months_away(day: date, months: int) -> date:
    """Walk month by month, then take the day or, from the end of a month that lacks it, the nearest before."""
    year, month = day.year, day.month
    for _ in range(abs(months)):
        month += 1 if months > 0 else -1
        if month == 0:
            year, month = year - 1, 12
        elif month == 13:
            year, month = year + 1, 1
    for number in range(day.day, 0, -1):
        try:
            return date(year, month, number)
        except ValueError:
            continue
    raise AssertionError("every month has a first day")


def away(day: date, amount: int, unit: str) -> date:
    """Return the day that lies so many days, weeks or months away."""
    if unit == "m":
        return months_away(day, amount)
    return days_away(day, amount * 7 if unit == "w" else amount)


def relative(amount: int, unit: str, as_of: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of a relative moment such as -7d."""
    if unit == "min":
        return as_of + amount * MINUTE
    if unit == "h":
        return as_of + amount * 60 * MINUTE
    day = away(as_of.astimezone(zone).date(), amount, unit)
    return instant_of(datetime.combine(day, time()), zone)


def shifted(as_of: datetime, amount: int, unit: str, zone: ZoneInfo) -> datetime:
    """Return as_of moved by a duration, the local time of day kept for days, weeks and months."""
    if unit in ("min", "h") or amount == 0:
        return relative(amount, unit if unit in ("min", "h") else "min", as_of, zone)
    local = as_of.astimezone(zone).replace(tzinfo=None, fold=0)
    day = away(local.date(), amount, unit)
    return instant_of(local.replace(year=day.year, month=day.month, day=day.day), zone)
