"""The numbers of an answer, and the groups they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.analysis import Group

OTHER_GROUP: Final = Group(other=True)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of a breakdown: the packed values that have a group, greatest first; whether there are more, and which, where
    that is known."""

    shown: tuple[bytes, ...]
    folds: bool
    folded: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Number:
    """One count of an answer; `interval`: of the trend."""

    step: int
    dropped: bool
    group: Group | None
    interval: int | None
