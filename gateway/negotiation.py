"""Which of an operation's formats a client accepts (RFC 9110, section 12)."""

from __future__ import annotations

from functools import lru_cache

from contracts.errors import NotAcceptable
from contracts.operation import MEDIA_TYPES, Format

# Headers repeat from request to request; the bound keeps a client from filling memory with made-up ones.
_REMEMBERED = 1_024


@lru_cache(_REMEMBERED)
def choose_format(accept: str | None, formats: tuple[Format, ...]) -> Format:
    """Return the format to answer in: the best accepted, the operation's own order decides ties; no header: the first.

    Raises:
        NotAcceptable: names what can be had.
    """
    if not accept or not accept.strip():
        return formats[0]
    ranges = _parse(accept)
    best: tuple[float, int] | None = None
    for index, format_ in enumerate(formats):
        quality = _quality(MEDIA_TYPES[format_], ranges)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, index)
    if best is None:
        offered = ", ".join(MEDIA_TYPES[format_] for format_ in formats)
        raise NotAcceptable(f"this can be answered as {offered}")
    return formats[best[1]]


@lru_cache(_REMEMBERED)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the client decodes gzip."""
    if not accept_encoding:
        return False
    ranges = dict(_parse(accept_encoding))
    return ranges.get("gzip", ranges.get("x-gzip", ranges.get("*", 0.0))) > 0


@lru_cache(_REMEMBERED)
def is_json(content_type: str | None) -> bool:
    """Whether a body is declared as JSON in UTF-8."""
    if not content_type:
        return False
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media_type != "application/json":
        return False
    charsets = [value.strip('"') for key, _, value in (p.partition("=") for p in parameters) if key == "charset"]
    return all(charset in ("utf-8", "utf8", "us-ascii") for charset in charsets)


def _parse(header: str) -> list[tuple[str, float]]:
    ranges = []
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                quality = _number(value)
        if name:
            ranges.append((name, quality))
    return ranges


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The most specific range that matches decides, as the RFC has it."""
    matches = dict(ranges)
    kind = media_type.partition("/")[0] + "/*"
    for candidate in (media_type, kind, "*/*"):
        if candidate in matches:
            return matches[candidate]
    return 0.0
