"""Entity tags (RFC 9110, section 8.8.3): what ETag says, and what If-Match and If-None-Match ask."""

from __future__ import annotations

import re
from typing import Final, Literal

from contracts.errors import InvalidRequest

GZIP_SUFFIX: Final = "-gzip"
"""A strong validator names one sequence of bytes, so the compressed variant has its own."""
_TAG: Final = re.compile(r'(?P<weak>W/)?"(?P<name>[^"]*)"')
_VERSION: Final = re.compile(r"[0-9]{1,10}")


def is_among(etag: str, if_none_match: str) -> bool:
    """Whether an If-None-Match header names this validator, in any of its variants."""
    if if_none_match.strip() == "*":
        return True
    names = (name.strip().removeprefix("W/").strip('"') for name in if_none_match.split(","))
    return any(name in (etag, etag + GZIP_SUFFIX) for name in names)


def versions(if_match: str | None) -> tuple[int, ...] | Literal["*"] | None:
    """Return the versions that an If-Match header names. Weak tags and those that are no version match nothing, so they
    are left out.

    Raises:
        InvalidRequest: it is no list of entity tags.
    """
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return "*"
    found = []
    for tag in if_match.split(","):
        match = _TAG.fullmatch(tag.strip())
        if match is None:
            raise InvalidRequest('the header If-Match must be *, or entity tags like "7", as an ETag header said them')
        name = match["name"].removesuffix(GZIP_SUFFIX)
        if not match["weak"] and _VERSION.fullmatch(name):
            found.append(int(name))
    return tuple(found)
