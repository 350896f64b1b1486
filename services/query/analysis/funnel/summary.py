"""What an answer says of one funnel: the whole, or one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.funnel import Bin, Seconds


@dataclass(slots=True)
class Summary:
    """Lists by step: actors that reached it, and the seconds to it from the last required step before, and from the
    first. `trend`: the counts by step of each interval. `bins`: the histogram of the seconds of conversion."""

    counts: list[int]
    previous: list[Seconds | None] = field(default_factory=list)
    first: list[Seconds | None] = field(default_factory=list)
    trend: list[list[int]] = field(default_factory=list)
    bins: tuple[Bin, ...] = ()

    @staticmethod
    def empty(steps: int, intervals: int) -> Summary:
        """Return the summary of a funnel that nobody entered."""
        return Summary([0] * steps, [None] * steps, [None] * steps, [[0] * steps for _ in range(intervals)])


def seconds(milliseconds: Sequence[int]) -> Seconds | None:
    """Return the statistics of ascending spans of time; None of none."""
    if not milliseconds:
        return None
    return Seconds(
        mean=sum(milliseconds) / len(milliseconds) / 1000,
        median=quantile(milliseconds, 0.5) / 1000,
        p90=quantile(milliseconds, 0.9) / 1000,
    )


def quantile(ascending: Sequence[int], level: float) -> float:
    """Return a quantile by linear interpolation (type 7)."""
    place = (len(ascending) - 1) * level
    low = int(place)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (place - low) * (ascending[high] - ascending[low])


def bins_of(count: int, shortest: int, longest: int, bins: int | None) -> tuple[int, int]:
    """Return how many bins a histogram has besides the closing one, and their width in milliseconds."""
    number = bins or _cube_root(count)
    width = -((shortest - longest) // (number * 1000)) or 60
    return number, width * 1000


def histogram(ascending: Sequence[int], bins: int | None) -> tuple[Bin, ...]:
    """Return the bins of ascending milliseconds; none of none."""
    if not ascending:
        return ()
    number, width = bins_of(len(ascending), ascending[0], ascending[-1], bins)
    counts = [0] * (number + 1)
    for span in ascending:
        counts[(span - ascending[0]) // width] += 1
    return bins_from(counts, ascending[0], width)


def bins_from(counts: Sequence[int], shortest: int, width: int) -> tuple[Bin, ...]:
    """Return bins of these counts that follow each other; times in milliseconds."""
    return tuple(
        Bin(start=(shortest + index * width) / 1000, end=(shortest + (index + 1) * width) / 1000, count=count)
        for index, count in enumerate(counts)
    )


def _cube_root(count: int) -> int:
    """Return the smallest number whose cube is at least `count`."""
    root: int = round(count ** (1 / 3))
    while root**3 < count:
        root += 1
    while (root - 1) ** 3 >= count:
        root -= 1
    return max(root, 1)
