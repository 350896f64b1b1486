"""Paths that a call sent as null: the JSON type drops nulls, and only these unset a trait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec


def null_paths(text: bytes) -> Sequence[str]:
    """Return the paths of a JSON object that are null, dots joining the levels; nulls inside arrays are values."""
    if b"null" not in text:
        return ()
    return sorted(set(_nulls(msgspec.json.decode(text), "")))


def _nulls(value: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, inner in value.items():
        if inner is None:
            yield prefix + key
        elif isinstance(inner, dict):
            yield from _nulls(inner, f"{prefix}{key}.")
