"""The reject file: one JSON object a line with line, row, reason and the row itself."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import IO, Any, Final

from deploy.cli.load.chunk import Reject
from deploy.cli.load.native import json_bytes

MAX_SOURCE: Final = 65_536
"""Bytes kept of a rejected row."""


class Rejects:
    """Counts rejected rows and keeps them in a file, which is made at the first and, when left from an earlier load,
    removed if there is none. Used by the thread that reads and by the one that inserts."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self.first: list[Reject] = []
        """The first few, to be shown."""
        self._file: IO[bytes] | None = None
        self._lock = Lock()
        if path is not None and path.is_file():  # never a device: /dev/null is a sensible place for rejects
            path.unlink()

    def add(self, reject: Reject) -> None:
        """Keep a rejected row."""
        with self._lock:
            self.count += 1
            self.reasons[reject.reason if len(self.reasons) < 100 else "…"] += 1
            if len(self.first) < 3:
                self.first.append(reject)
            if self.path is None:
                return
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(json_bytes(_entry(reject)) + b"\n")

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()


def _entry(reject: Reject) -> dict[str, Any]:
    """Return the entry of a row; one that is not UTF-8 is there as base64 too."""
    data = reject.source if isinstance(reject.source, bytes) else str(reject.source).encode("utf-8", "surrogateescape")
    kept = data[:MAX_SOURCE]
    text = kept.decode("utf-8", "replace")
    entry: dict[str, Any] = {"line": reject.line, "row": reject.row, "reason": reject.reason, "text": text}
    if len(kept) < len(data):
        entry["bytes"] = len(data)
    elif text.encode() != kept:
        entry["base64"] = base64.b64encode(kept).decode()
    return entry
