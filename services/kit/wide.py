"""Integers that JavaScript cannot hold become strings (the engine writes them as numbers inside JSON values)."""

from __future__ import annotations

import re
from typing import Final

MAX_SAFE: Final = 2**53 - 1
"""ECMAScript's Number.MAX_SAFE_INTEGER."""

_MAYBE: Final = re.compile(rb"[0-9]{16}")
_TOKEN: Final = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|(?P<whole>-?[0-9]{16,})(?P<rest>[.eE][0-9.eE+-]*)?|-?[0-9][0-9.eE+-]*', re.DOTALL
)
"""A string, a number that may be a wide integer, or another number: only within these can digits stand."""


def quote_wide_integers(row: bytes) -> bytes:
    """Rewrite JSON text so that integers beyond 2^53 are strings; every other byte stays as it was.

    By its tokens, not its values: a parser would write doubles differently, keep one of two equal names, and give up on
    depth or bytes that the engine stores. Only for rows flagged as maybe having some.
    """
    return _TOKEN.sub(_quoted, row)


def safe_json(text: bytes) -> bytes:
    """Return JSON text with integers beyond 2^53 as strings; quick where there is none."""
    return quote_wide_integers(text) if _MAYBE.search(text) else text


def _quoted(token: re.Match[bytes]) -> bytes:
    whole = token["whole"]
    if whole is None or token["rest"] or abs(int(whole)) <= MAX_SAFE:
        return token[0]
    return b'"%b"' % whole
