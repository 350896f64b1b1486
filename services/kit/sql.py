"""Typed ClickHouse literals: the only way a value becomes part of a statement.

The native protocol that the driver speaks has no parameters, and its client-side substitution passes unknown types
through unquoted, so every value goes through one of these functions and none is ever formatted by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

_STRING_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})
_IDENTIFIER_ESCAPES = str.maketrans({"\\": "\\\\", "`": "\\`", "\0": "\\0"})

INT64 = range(-(2**63), 2**63)
UINT64 = range(2**64)


def string(value: str) -> str:
    """Return a String literal, exact for every text.

    Raises:
        ValueError: the text holds a lone surrogate, which UTF-8 cannot carry.
    """
    _encodable(value)
    return f"'{value.translate(_STRING_ESCAPES)}'"


def identifier(name: str) -> str:
    """Return a quoted name.

    Raises:
        ValueError: empty, or holds a lone surrogate.
    """
    if not name:
        raise ValueError("an identifier cannot be empty")
    _encodable(name)
    return f"`{name.translate(_IDENTIFIER_ESCAPES)}`"


def integer(value: int) -> str:
    """Return an integer literal, of the smallest type that holds it.

    Raises:
        ValueError: outside Int64 and UInt64: the engine would read it as a float.
    """
    if value not in INT64 and value not in UINT64:
        raise ValueError("an integer literal must fit 64 bits")
    # `-1` alone would join a minus sign before it into a comment.
    return str(int(value)) if value >= 0 else f"({int(value)})"


def number(value: float) -> str:
    """Return a Float64 literal that reads back as the same double, infinities included.

    Raises:
        ValueError: not a number.
    """
    if math.isnan(value):
        raise ValueError("NaN is no number")
    if math.isinf(value):
        return "toFloat64('inf')" if value > 0 else "toFloat64('-inf')"
    return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"


def boolean(value: bool) -> str:
    """Return a Bool literal."""
    return "true" if value else "false"


def uuid(value: UUID) -> str:
    """Return a UUID literal."""
    return f"toUUID('{value}')"


def datetime64(value: datetime) -> str:
    """Return a DateTime64 literal in UTC: milliseconds, or microseconds when the value has them.

    Raises:
        ValueError: without a time zone, or outside the years 1900 to 2299 that the type holds.
    """
    if value.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    utc = value.astimezone(UTC)
    if not 1900 <= utc.year <= 2299:
        raise ValueError("a moment must lie in the years 1900 to 2299")
    scale, precision = (6, "microseconds") if utc.microsecond % 1000 else (3, "milliseconds")
    return f"toDateTime64('{utc.replace(tzinfo=None).isoformat(' ', precision)}', {scale}, 'UTC')"


def array(items: Iterable[str]) -> str:
    """Return an array of literals made by the functions above."""
    return f"[{', '.join(items)}]"


def json_path(column: str, path: str) -> str:
    """Return the subcolumn of a JSON column at a path (`a.b`), of type Dynamic."""
    return f"{identifier(column)}.{identifier(path)}"


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("the text holds a lone surrogate, which UTF-8 cannot carry") from error
