"""Integers that JavaScript cannot hold become strings (the engine writes them as numbers inside JSON values)."""

from __future__ import annotations

import json
from typing import Any, Final

MAX_SAFE: Final = 2**53 - 1
"""ECMAScript's Number.MAX_SAFE_INTEGER."""


def _widen(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and not -MAX_SAFE <= value <= MAX_SAFE:
        return str(value)
    if isinstance(value, list):
        return [_widen(item) for item in value]
    if isinstance(value, dict):
        return {key: _widen(item) for key, item in value.items()}
    return value


def quote_wide_integers(row: bytes) -> bytes:
    """Rewrite one JSON object so that integers beyond 2^53 are strings. Only for rows flagged as maybe having some."""
    return json.dumps(_widen(json.loads(row)), ensure_ascii=False, separators=(",", ":")).encode()
