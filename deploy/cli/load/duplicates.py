"""How many message ids of a file occur again, exactly and in bounded memory."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable
from typing import IO, Final

_BUCKETS: Final = 64
_BUFFERED: Final = 1 << 17


class Duplicates:
    """Keeps a 64-bit hash of each id: in memory up to two million, then in temporary files by the hash's low bits, so
    that each file is small enough to be looked at alone. Two ids share a hash once in 10^7 loads of a million."""

    def __init__(self, limit: int = 2_000_000) -> None:
        self._limit = limit
        self._seen: set[int] = set()
        self._count = 0
        self._buckets: list[array[int]] = []
        self._files: list[IO[bytes]] = []

    def add(self, table: str, ids: Iterable[str]) -> None:
        """Take the message ids of events of one table."""
        hashes = [hash((table, identifier)) for identifier in ids]
        if not self._files:
            before = len(self._seen)
            self._seen.update(hashes)
            self._count += len(hashes) - (len(self._seen) - before)
            if len(self._seen) > self._limit:
                self._to_files()
            return
        self._spread(hashes)

    def count(self) -> int:
        """Return how many ids had occurred before; ends the counting."""
        found = self._count
        for bucket, file in zip(self._buckets, self._files, strict=True):
            file.seek(0)
            hashes = array("q", file.read())
            hashes.extend(bucket)
            found += len(hashes) - len(set(hashes))
            file.close()
        self._files, self._buckets = [], []
        return found

    def _to_files(self) -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(_BUCKETS)]  # noqa: SIM115 - closed by count()
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        self._spread(self._seen)
        self._seen = set()

    def _spread(self, hashes: Iterable[int]) -> None:
        for value in hashes:
            self._buckets[value % _BUCKETS].append(value)
        for bucket, file in zip(self._buckets, self._files, strict=True):
            if len(bucket) > _BUFFERED:
                bucket.tofile(file)
                del bucket[:]
