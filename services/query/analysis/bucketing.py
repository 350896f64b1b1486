"""The SQL of an event's bucket, by arithmetic where buckets are of equal length."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.query.analysis import buckets

_MAX_RUNS: Final = 8


@dataclass(frozen=True, slots=True)
class Run:
    """Buckets of equal length in a row, in milliseconds: the start and the number of the first, and the length."""

    start: int
    number: int
    length: int


def bucket_of(ts: str, bounds: Sequence[datetime]) -> str:
    """Return SQL (UInt16) of the number, from 0, of the bucket that holds `ts` (SQL, milliseconds), which must lie in
    one; `bounds` are those of `buckets.bounds`: n + 1 for n buckets.

    A division costs a third of a search among the bounds, and most days are equally long.
    """
    found = runs([buckets.milliseconds(bound) for bound in bounds])
    if not found:
        return "toUInt16(0)"
    if len(found) > _MAX_RUNS:
        return buckets.index_of(ts, bounds[:-1])
    numbers = [f"intDiv({ts} - toInt64({run.start}), {run.length}) + {run.number}" for run in found]
    cases = [f"{ts} < toInt64({after.start}), {number}" for number, after in zip(numbers, found[1:], strict=False)]
    return f"toUInt16({numbers[0]})" if not cases else f"toUInt16(multiIf({', '.join(cases)}, {numbers[-1]}))"


def runs(bounds: Sequence[int]) -> list[Run]:
    """Return the runs of the buckets between ascending bounds, in milliseconds."""
    found: list[Run] = []
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        if not found or found[-1].length != end - start:
            found.append(Run(start, number, end - start))
    return found
