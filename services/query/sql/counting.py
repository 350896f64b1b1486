"""How many rows a streamed answer has, counted while it passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.operation import Format

_MARKS: Final = b'"\n'
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in _MARKS)


class Lines:
    """Rows of NDJSON: one a line."""

    def __init__(self) -> None:
        self.rows = 0

    def add(self, chunk: bytes) -> None:
        """Count a piece of the answer."""
        self.rows += chunk.count(b"\n")


class Records:
    """Rows of CSV behind a line of names: a line's end between quotes is part of a value."""

    def __init__(self) -> None:
        self.rows = -1
        self._quoted = False

    def add(self, chunk: bytes) -> None:
        """Count a piece of the answer."""
        # Most values have no line's end: what is left of them is two quotes, which change nothing.
        marks = chunk.translate(None, _OTHERS).replace(b'""', b"")
        parts = marks.split(b'"')
        self.rows += sum(part.count(b"\n") for part in parts[self._quoted :: 2])
        self._quoted ^= len(parts) % 2 == 0


COUNTERS: Final[dict[Format, Callable[[], Lines | Records]]] = {"ndjson": Lines, "csv": Records}
"""Formats whose rows can be told from their bytes as they pass."""
