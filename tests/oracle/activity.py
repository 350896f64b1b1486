"""In which periods each key is active, and where it stands in a breakdown: docs/lifecycle.md and docs/stickiness.md,
followed literally."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.oracle import buckets, series
from tests.oracle.events import Event
from tests.oracle.series import Key

Values = tuple[str | None, ...]
OTHER = "other"
Group = Values | str | None
"""The values of a group, OTHER, or None for all keys."""


@dataclass(frozen=True)
class Question:
    """A request's JSON with its times settled, over all events of a workspace."""

    request: dict[str, Any]
    events: list[Event]
    workspace: UUID
    start: datetime
    end: datetime
    as_of: datetime

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.request["timezone"])

    @property
    def history_end(self) -> datetime:
        return max(self.end, self.as_of)

    def bounds(self, start: datetime, end: datetime, *, before: int = 0) -> list[datetime]:
        """The bounds of the whole periods that touch a range, and of some before them."""
        request = self.request
        return buckets.touching(
            start, end, request.get("period", "day"), self.zone, request.get("week_start", "monday"), before=before
        )

    def histories(self, number: int) -> dict[Key, list[Event]]:
        """Of each key the events that a series means, in their order."""
        request = self.request
        pairs = series.keyed(self.events, self.workspace, request.get("analyse_by", "actor"))
        means = series.meant(
            request["series"][number],
            pairs,
            where=request.get("where"),
            end_of_history=milliseconds(self.history_end),
            as_of=self.as_of,
            zone=request["timezone"],
        )
        found: dict[Key, list[Event]] = {}
        for key, event in pairs:
            if series.id_of(event) in means:
                found.setdefault(key, []).append(event)
        return found

    def values(self, event: Event) -> Values | None:
        """Where a key stands whose deciding event this is."""
        breakdown = self.request.get("breakdown")
        return series.group(breakdown["by"], event) if breakdown else None

    def groups(self, standing: Iterable[Values | None]) -> list[Group]:
        """The groups of those keys that count in the ranking."""
        breakdown = self.request.get("breakdown")
        if not breakdown:
            return [None]
        sizes: dict[Values, int] = {}
        for values in standing:
            assert values is not None
            sizes[values] = sizes.get(values, 0) + 1
        ranked = sorted(
            sizes, key=lambda values: (-sizes[values], [(v is not None, (v or "").encode()) for v in values])
        )
        limit = breakdown.get("limit", 25)
        return [*ranked[:limit], *([OTHER] if len(ranked) > limit else [])]

    def incomplete(self, bounds: list[datetime]) -> list[bool]:
        return [end > self.as_of for end in bounds[1:]]


def stands_in(values: Values | None, group: Group, groups: list[Group]) -> bool:
    """Tell whether a key with these values stands in a group."""
    return group is None or values == group or (group == OTHER and values not in groups)


def active_in(events: Iterable[Event], bounds: list[datetime]) -> set[int]:
    """Return the numbers of the periods in which some event lies."""
    marks = [milliseconds(bound) for bound in bounds]
    return {
        number
        for event in events
        for number in range(len(marks) - 1)
        if marks[number] <= event["timestamp"] < marks[number + 1]
    }


def milliseconds(moment: datetime) -> int:
    return -((datetime(1970, 1, 1, tzinfo=UTC) - moment) // timedelta(milliseconds=1))
