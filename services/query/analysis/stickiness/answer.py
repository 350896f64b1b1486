"""The numbers of keys as an answer, and the same as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from contracts.stickiness import StickinessCounts, StickinessRequest, StickinessResult
from services.query.analysis.delivery import Table


def counts_of(exactly: Mapping[int, int], size: int, *, cumulative: bool) -> StickinessCounts:
    """Return the counts of a line over a range of `size` periods; `exactly`: n → keys active in n of them."""
    counts = [exactly.get(n, 0) for n in range(1, size + 1)]
    actors = sum(counts)
    periods = sum(n * count for n, count in exactly.items())
    if cumulative:
        counts = list(accumulate(reversed(counts)))[::-1]
    return StickinessCounts(
        actors=actors,
        counts=tuple(counts),
        rates=tuple(count / actors if actors else None for count in counts),
        mean=periods / actors if actors else None,
    )


def table_of(request: StickinessRequest, result: StickinessResult) -> Table:
    """Return the answer as one table: a row for each count."""
    parts = 0 if request.breakdown is None else len(request.breakdown.by)
    grouping = [*(f"group_{number}" for number in range(1, parts + 1)), "other"] if parts else []
    return ["series", "label", *grouping, "range", "periods", "count", "rate"], _rows(result, parts)


def _rows(result: StickinessResult, parts: int) -> Iterator[Sequence[object]]:
    for line in result.data:
        named: list[object] = []
        if line.group is not None:
            named = [*(line.group.values or (None,) * parts), line.group.other]
        ranges: list[tuple[str, StickinessCounts]] = [("current", line)]
        if line.compared is not None:
            ranges.append(("compared", line.compared))
        for name, numbers in ranges:
            for n, (count, rate) in enumerate(zip(numbers.counts, numbers.rates, strict=True), 1):
                yield [line.series, line.label, *named, name, n, count, rate]
