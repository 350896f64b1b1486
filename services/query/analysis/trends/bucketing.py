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
class _Run:
    """Buckets of equal length in a row, in milliseconds: the start and the number of the first, and the length."""

    start: int
    number: int
    length: int


def bucket_of(ts: str, bounds: Sequence[datetime]) -> str:
    """Return SQL (UInt16) of the number, from 0, of the bucket that holds `ts` (SQL, milliseconds), which must lie in
    one; `bounds` are those of `buckets.bounds`: n + 1 for n buckets.

    A division costs a third of a search among the bounds, and most days are equally long.
    """
    runs = _runs([buckets.milliseconds(bound) for bound in bounds])
    if len(runs) > _MAX_RUNS:
        return buckets.index_of(ts, bounds[:-1])
    numbers = [
        f"intDiv({ts} - toInt64({run.start}), {run.length})" + (f" + {run.number}" if run.number else "")
        for run in runs
    ]
    if not numbers:
        return "toUInt16(0)"
    cases = "".join(
        f"{ts} < toInt64({following.start}), {number}, "
        for number, following in zip(numbers[:-1], runs[1:], strict=True)
    )
    return f"toUInt16(multiIf({cases}{numbers[-1]}))" if cases else f"toUInt16({numbers[-1]})"


def _runs(bounds: Sequence[int]) -> list[_Run]:
    found: list[_Run] = []
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        if not found or found[-1].length != end - start:
            found.append(_Run(start, number, end - start))
    return found
