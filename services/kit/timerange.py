"""Moments, ranges and durations of a request, resolved to instants. Meanings: docs/time.md."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from contracts.errors import InvalidRequest

YEARS: Final = range(1900, 2300)
"""The years, in UTC, that a DateTime64 holds."""

_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.(?P<fraction>[0-9]{1,9}))?)?)"
    r"(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_RELATIVE: Final = re.compile(r"(?P<sign>[+-])(?P<duration>[0-9]{1,9}(?:min|h|d|w|m))")
_DURATION: Final = re.compile(r"(?P<amount>[0-9]{1,9})(?P<unit>min|h|d|w|m)")

_MOMENT_FORMS: Final = "a date, an ISO 8601 time, or a time relative to as_of such as -7d or -24h (min, h, d, w, m)"
_TIME_FORMS: Final = "a date or an ISO 8601 time such as 2026-01-31T09:00:00Z"


class Duration(NamedTuple):
    """A length of time: `unit` is min or h (exact), d, w or m (calendar months)."""

    amount: int
    unit: str


def resolve_range(
    from_: str | None, to: str | None, *, as_of: datetime, timezone: str, pointer: str = ""
) -> tuple[datetime | None, datetime]:
    """Return the half-open range [start, end) in UTC; start is None for all history.

    `pointer` is the JSON Pointer of the object that holds `from`, `to` and `timezone`.

    Raises:
        InvalidRequest: a bad moment at `/from` or `/to`, an unknown zone at `/timezone`, an end before the start.
    """
    check_timezone(timezone, f"{pointer}/timezone")
    start, end = None, as_of.astimezone(UTC)
    if from_ is not None:
        start = resolve_moment(from_, as_of=as_of, timezone=timezone, pointer=f"{pointer}/from")
    if to is not None:
        end = resolve_moment(to, as_of=as_of, timezone=timezone, pointer=f"{pointer}/to")
    if start is not None and end < start:
        if to is None:
            raise InvalidRequest.at(f"{pointer}/from", "must not be after as_of when `to` is not given")
        raise InvalidRequest.at(f"{pointer}/to", "must not be before `from`")
    return start, end


def resolve_moment(text: str, *, as_of: datetime, timezone: str, pointer: str) -> datetime:
    """Return the instant, in UTC, that a moment's text means in a time zone that `check_timezone` let pass.

    Raises:
        InvalidRequest: at `pointer`: not a moment, or outside the years 1900 to 2299.
    """
    zone = ZoneInfo(timezone)
    relative = _RELATIVE.fullmatch(text)
    if relative is None:
        return _absolute(text, zone, pointer, _MOMENT_FORMS)
    amount, unit = parse_duration(relative["duration"], pointer)
    amount = -amount if relative["sign"] == "-" else amount
    if unit in ("min", "h"):
        return _checked(lambda: as_of + _exact(amount, unit), pointer)
    today = as_of.astimezone(zone).date()
    return _checked(lambda: _instant(datetime.combine(_step(today, amount, unit), time()), zone), pointer)


def is_relative(moment: str) -> bool:
    """Tell whether a moment's text means another instant when as_of moves."""
    return moment.startswith(("-", "+"))


def parse_instant(text: str, pointer: str) -> datetime:
    """Return the instant, in UTC, of an ISO 8601 time; without an offset it is UTC.

    Raises:
        InvalidRequest: at `pointer`: not such a time, or outside the years 1900 to 2299.
    """
    return _absolute(text, ZoneInfo("UTC"), pointer, _TIME_FORMS)


def check_instant(moment: datetime, pointer: str) -> datetime:
    """Return an instant in UTC; without an offset it is UTC.

    Raises:
        InvalidRequest: at `pointer`: outside the years 1900 to 2299.
    """
    return _checked(lambda: moment.replace(tzinfo=moment.tzinfo or UTC), pointer)


def parse_duration(text: str, pointer: str) -> Duration:
    """Return a duration such as `7d`.

    Raises:
        InvalidRequest: at `pointer`: not a duration.
    """
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise InvalidRequest.at(pointer, "must be a number and one of the units min, h, d, w, m: 7d")
    return Duration(int(parts["amount"]), parts["unit"])


def shift(moment: datetime, duration: Duration, *, sign: int, timezone: str, pointer: str) -> datetime:
    """Return the instant, in UTC, that lies a duration after (`sign` 1) or before (-1) a moment.

    Days, weeks and months keep the local time of day.

    Raises:
        InvalidRequest: at `pointer`: the instant is outside the years 1900 to 2299.
    """
    amount, unit = duration
    if unit in ("min", "h") or amount == 0:
        return _checked(lambda: moment + _exact(sign * amount, unit), pointer)
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone)
    return _checked(
        lambda: _instant(datetime.combine(_step(local.date(), sign * amount, unit), local.time()), zone), pointer
    )


def check_timezone(name: str, pointer: str = "/timezone") -> str:
    """Return the name when it is that of an IANA time zone.

    Raises:
        InvalidRequest: at `pointer`: no such zone.
    """
    if name not in _zone_names():
        raise InvalidRequest.at(pointer, "must be an IANA time zone such as Europe/Berlin")
    return name


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime"}  # is another zone on another machine


def _absolute(text: str, zone: ZoneInfo, pointer: str, forms: str) -> datetime:
    parts = _TIME.fullmatch(text)
    try:
        if parts is None:
            raise ValueError(text)
        fraction = (parts["fraction"] or "0")[:6].ljust(6, "0")
        local = datetime.fromisoformat(f"{parts['date']}T{parts['clock'] or '00:00'}").replace(
            microsecond=int(fraction)
        )
        # Parsed with a day that no offset can carry out of the calendar.
        offset = parts["offset"] and datetime.fromisoformat(f"2000-01-01T00:00{parts['offset']}").tzinfo
    except ValueError:
        raise InvalidRequest.at(pointer, f"must be {forms}") from None
    return _checked(lambda: local.replace(tzinfo=offset) if offset else _instant(local, zone), pointer)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    # fold=0 is the rule of docs/time.md: the first of two occurrences, the offset before a gap.
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _exact(amount: int, unit: str) -> timedelta:
    return timedelta(minutes=amount) if unit == "min" else timedelta(hours=amount)


def _step(day: date, amount: int, unit: str) -> date:
    if unit != "m":
        return day + timedelta(days=amount * (7 if unit == "w" else 1))
    year, month = divmod(day.year * 12 + day.month - 1 + amount, 12)
    if year not in YEARS:
        raise OverflowError
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _checked(compute: Callable[[], datetime], pointer: str) -> datetime:
    try:
        moment = compute().astimezone(UTC)
    except OverflowError:
        moment = None
    if moment is None or moment.year not in YEARS:
        raise InvalidRequest.at(pointer, f"must lie in the years {YEARS[0]} to {YEARS[-1]}")
    return moment
