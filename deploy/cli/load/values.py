"""Conversions of single values: numbers, booleans, times, ids; each raises RowError with a reason for a person."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from deploy.cli.load.errors import RowError

Number = int | Decimal
MAX_ID_LENGTH: Final = 4_096
"""As contracts.common.Id: a longer id could be stored but never asked for."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EARLIEST: Final = (datetime(1900, 1, 1, tzinfo=UTC) - EPOCH) // _MILLISECOND
_LATEST: Final = (datetime(2299, 12, 31, tzinfo=UTC) - EPOCH) // _MILLISECOND
"""What DateTime64(3) keeps exactly."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d{1,400}", re.ASCII)
_TRUE: Final = frozenset({"true", "t", "yes", "y", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0"})


@lru_cache(maxsize=65_536)
def number_of_text(text: str) -> Number | None:
    """Return the number a text spells (digits, optional fraction and exponent), exactly; None when it is none."""
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def number(value: Any) -> Number | None:
    """Return an exact number: decimal arithmetic keeps 6 times 2.55 at 15.3, whatever the order of a sum."""
    kind = type(value)
    if kind is int or kind is Decimal or value is None:
        return value  # type: ignore[no-any-return]
    if kind is str:
        found = number_of_text(value)
        if found is None:
            raise RowError(f"{_short(value)} is not a number")
        return found
    if kind is float:
        if not math.isfinite(value):
            raise RowError(f"{value} is not a number")
        return Decimal(repr(value))
    raise RowError(f"{_short(value)} is not a number")


def boolean(value: Any) -> bool | None:
    """Return a truth value: true, yes, t, y, 1 and their opposites in any case."""
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise RowError(f"{_short(value)} is neither true nor false")


def text(value: Any) -> str | None:
    """Return the text of a value; numbers as JSON writes them, times in ISO 8601."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(plain(value))


def plain(value: Any) -> Any:
    """Return the JSON form of a computed value: decimals and numbers beyond 64 bits as floats, NaN as nothing."""
    kind = type(value)
    if kind is Decimal:
        try:
            value = float(value)
        except (OverflowError, InvalidOperation):  # pragma: no cover - a signalling NaN only
            return None
        kind = float
    if kind is float and not math.isfinite(value):
        return None
    if kind is int and not -(2**63) <= value < 2**64:
        try:
            return float(value)
        except OverflowError as error:
            raise RowError("a number is too large") from error
    return value


def identifier(value: Any) -> str:
    """Return an id as text, '' for none. 7 and 7.0 are "7", as a spreadsheet or a data frame means them."""
    if value is None:
        return ""
    if type(value) is float and value.is_integer():
        value = int(value)
    if isinstance(value, bool | dict | list):
        raise RowError(f"{_short(value)} is not an id")
    result = value if isinstance(value, str) else text(value) or ""
    if len(result) > MAX_ID_LENGTH:
        raise RowError(f"an id is longer than {MAX_ID_LENGTH} characters")
    return result


@lru_cache(maxsize=65_536)
def instant_of_text(text: str, zone: tzinfo, pattern: str) -> int:
    """Return the time a text spells, in milliseconds since 1970; `pattern` is strptime's, '' ISO 8601 or Unix time."""
    stripped = text.strip()
    if not pattern:
        numeric = number_of_text(stripped)
        # "20240101" is a date in ISO 8601 and no plausible Unix time: 1970-08-23.
        if numeric is not None and len(stripped) != 8:
            return instant_of_number(numeric)
    try:
        moment = datetime.strptime(stripped, pattern) if pattern else datetime.fromisoformat(stripped)  # noqa: DTZ007 - the zone follows
    except ValueError as error:
        wanted = pattern or "ISO 8601 or a Unix time"
        raise RowError(f"{_short(text)} is not a time ({wanted})") from error
    return instant_of_datetime(moment, zone)


def instant_of_datetime(moment: datetime, zone: tzinfo) -> int:
    """Return milliseconds since 1970, cut to the millisecond; local times that are skipped move forward, doubled ones
    take the first."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return _in_range((moment - EPOCH) // _MILLISECOND)
    except OverflowError as error:
        raise RowError(f"{moment.isoformat()} is not a time the tables can keep (1900 to 2299)") from error


def instant_of_number(value: Number | float) -> int:
    """Return milliseconds since 1970 of a Unix time in s, ms, µs or ns, told apart by its size."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RowError(f"{value} is not a time")
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    size = abs(exact)
    scale = 1000 if size < 10**11 else 1 if size < 10**14 else Decimal("1e-3") if size < 10**17 else Decimal("1e-6")
    return _in_range(math.floor(exact * scale))


def instant(value: Any, zone: tzinfo, pattern: str) -> int:
    """Return the time of any value as milliseconds since 1970.

    Raises:
        RowError: no value, not a time, or outside 1900 to 2299.
    """
    if type(value) is str and value:
        return instant_of_text(value, zone, pattern)
    if isinstance(value, datetime):
        return instant_of_datetime(value, zone)
    if isinstance(value, date):
        return instant_of_datetime(datetime(value.year, value.month, value.day), zone)  # noqa: DTZ001 - the zone follows
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return instant_of_number(value)
    if value is None or value == "":
        raise RowError("no timestamp")
    raise RowError(f"{_short(value)} is not a time")


def iso(milliseconds: int) -> str:
    """Return ISO 8601 in UTC with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_iso_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=4_096)
def _iso_second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def now_ms() -> int:
    """Return the clock, in milliseconds since 1970."""
    return (datetime.now(UTC) - EPOCH) // _MILLISECOND


def _in_range(milliseconds: int) -> int:
    if not _EARLIEST <= milliseconds <= _LATEST:
        raise RowError("a time is outside 1900 to 2299, which the tables cannot keep")
    return milliseconds


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…" + shown[-1]
