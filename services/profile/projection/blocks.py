"""How far event tables have been read, by the numbers ClickHouse gives to inserted blocks. Pure.

A row keeps its block's number (`_block_number`) through merges. On a replicated table a number is handed out before its
block can be seen, so a number that no part has yet may still come: its gap stays open for a while. On a plain table
numbers are handed out when a block becomes visible, for all partitions together: gaps mean nothing there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """Where blocks are numbered. `shard`: '' on one node."""

    shard: str
    table: str
    partition: str


class Part(NamedTuple):
    """A part that is there, with the numbers of the blocks in it."""

    place: Place
    first: int
    last: int


class Blocks(NamedTuple):
    """Blocks to read."""

    place: Place
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that no part had at `since` (seconds of a clock)."""

    first: int
    last: int
    since: float


@dataclass(frozen=True, slots=True)
class Read:
    """What has been read of one place: all up to `last`, but for the gaps."""

    last: int = 0
    gaps: tuple[Gap, ...] = ()

    @property
    def contiguous(self) -> int:
        """The highest number up to which everything has been read: what is worth keeping."""
        return self.gaps[0].first - 1 if self.gaps else self.last


def look(
    read: Mapping[Place, Read], parts: Iterable[Part], *, now: float, patience: float
) -> tuple[list[Blocks], dict[Place, Read]]:
    """Return what is to be read, and what has been once that is done.

    `patience`: seconds a gap stays open. A place whose highest number is lower than what was read of it was emptied and
    numbered anew: it is read from the beginning. One without parts is forgotten.
    """
    by_place: dict[Place, list[Part]] = {}
    for part in parts:
        by_place.setdefault(part.place, []).append(part)
    blocks: list[Blocks] = []
    after: dict[Place, Read] = {}
    for place, found in by_place.items():
        found.sort(key=lambda part: part.first)
        known = read.get(place, Read())
        highest = max(part.last for part in found)
        if highest < known.last:
            known = Read()
        still_open: list[Gap] = []
        for gap in known.gaps:
            left = _missing(found, gap.first, gap.last)
            if left != [(gap.first, gap.last)]:
                blocks.append(Blocks(place, gap.first, gap.last))
            if now - gap.since < patience:
                still_open += [Gap(first, last, gap.since) for first, last in left]
        if highest > known.last:
            blocks.append(Blocks(place, known.last + 1, highest))
            if patience > 0:
                still_open += [Gap(*gap, now) for gap in _missing(found, known.last + 1, highest)]
        after[place] = Read(highest, tuple(still_open))
    return blocks, after


def _missing(parts: Iterable[Part], first: int, last: int) -> list[tuple[int, int]]:
    """Return the numbers in [first, last] that no part has; `parts` by their first numbers."""
    missing = []
    for part in parts:
        if part.first > last:
            break
        if part.first > first:
            missing.append((first, part.first - 1))
        first = max(first, part.last + 1)
    if first <= last:
        missing.append((first, last))
    return missing
