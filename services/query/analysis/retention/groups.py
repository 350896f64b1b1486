"""Which groups of a breakdown an answer shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from contracts.analysis import Group
from contracts.errors import InvalidRequest
from services.kit.statements import Query
from services.query.analysis import buckets
from services.query.analysis.retention.events import breakdown_values, firsts, place, source_of
from services.query.analysis.retention.plan import Plan

Values: TypeAlias = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups shown, the greatest first; `folded`: there are more. Those are one group, whose place is behind the
    last."""

    shown: Sequence[Values]
    folded: bool

    def named(self) -> list[Group]:
        """Return all groups in the order of their places."""
        other = [Group(other=True)] if self.folded else []
        return [*(Group(values=values) for values in self.shown), *other]

    def place(self, group: Group) -> int:
        """Return a group's place.

        Raises:
            InvalidRequest: the answer has no such group.
        """
        try:
            return self.named().index(group)
        except ValueError:
            raise InvalidRequest.at("/group", "the answer has no such group") from None


async def ranked(query: Query, plan: Plan) -> Groups:
    """Return the groups of a breakdown, by the sum of their sizes.

    Raises:
        LimitExceeded, DeadlineExceeded, Unavailable: from the engine.
    """
    breakdown = plan.request.breakdown
    assert breakdown is not None
    result = await query.run(ranking_sql(plan))
    found = [
        tuple(None if part is None else part.decode(errors="replace") for part in row[1:]) for row in result.rows()
    ]
    return Groups(found[: breakdown.limit], len(found) > breakdown.limit)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def ranking_sql(plan: Plan) -> str:
    """Return rows of (size, values…), the greatest first, one more than the limit."""
    breakdown = plan.request.breakdown
    assert breakdown is not None
    columns = {"held": breakdown_values(plan), "place": place}
    events = source_of(plan, [plan.start], start=plan.begin, end=plan.end_of_starts, columns=columns)
    gathered = f"SELECT groupArray((ts, place, held)) AS starts FROM ({events}) WHERE s0 GROUP BY actor"
    ordered = (
        f"SELECT arrayMap(s -> ({buckets.index_of('s.1', plan.axis)}, s.3), arraySort(s -> (s.1, s.2), starts)) "
        f"AS ordered FROM ({gathered})"
    )
    cohorts = f"SELECT arrayJoin({firsts('ordered')}).2 AS held FROM ({ordered})"
    parts = [f"held.{number}" for number in range(1, len(breakdown.by) + 1)]
    order = ", ".join(f"{part} ASC NULLS FIRST" for part in parts)
    return (
        f"SELECT count() AS size, {', '.join(parts)} FROM ({cohorts}) GROUP BY {', '.join(parts)} "
        f"ORDER BY size DESC, {order} LIMIT {breakdown.limit + 1}"
    )
