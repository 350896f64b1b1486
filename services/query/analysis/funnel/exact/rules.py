"""What a funnel asks of a chain, and what a chain is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Steps count from 1 in chains and in `exclusions` (from_step, to_step), and are bits from 0 in events' masks.
    `window` in milliseconds. `named`: chains need their members."""

    steps: int
    order: Literal["ordered", "strict", "any"] = "ordered"
    window: int
    optional: frozenset[int] = frozenset()
    exclusions: tuple[tuple[int, int], ...] = field(default=())
    disqualify: bool = False
    named: bool = False

    @cached_property
    def required(self) -> tuple[int, ...]:
        """Return, by step, how many required steps there are up to it; 0 for step 0."""
        counts = [0]
        for step in range(1, self.steps + 1):
            counts.append(counts[-1] + (step not in self.optional))
        return tuple(counts)


class Event(NamedTuple):
    """One event: its time in milliseconds, the steps it serves and the exclusions that mean it (bits), and the values
    it carries of `holding` (equal bytes: equal values; None: it lacks one)."""

    time: int
    steps: int
    exclusions: int
    held: bytes | None


Span: TypeAlias = tuple[int, int]
"""The times, half open, in which entries lie."""


class Chain(NamedTuple):
    """A chain; of two the deciding one is greater by `worth`, then smaller by the rest. `members` are the indices of
    its events, empty unless the rules want them named."""

    worth: int
    times: tuple[int, ...]
    steps: tuple[int, ...]
    members: tuple[int, ...]


def better(one: Chain | None, other: Chain | None) -> Chain | None:
    """Return that of two chains which decides."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda chain: (-chain.worth, chain.times, chain.steps, chain.members))
