"""What one person's timeline, page after page, and summary are, over events as they were sent: docs/profiles.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from tests.oracle.events import Event

Position: TypeAlias = tuple[int, bytes, str]


def position(event: Event) -> Position:
    """Where an event stands in a timeline."""
    return event["timestamp"], event["message_id"].encode(), event["table"]


def page(
    events: Iterable[Event], *, newest: bool, after: Position | None, limit: int
) -> tuple[list[Event], Position | None]:
    """The next events of a person behind a position, and where to go on if there are more. `events`: each once, all the
    person has at that moment."""
    ordered = sorted(events, key=position, reverse=newest)
    if after is not None:
        ordered = [one for one in ordered if (position(one) < after if newest else position(one) > after)]
    return ordered[:limit], position(ordered[limit - 1]) if len(ordered) > limit else None


def summary(events: Sequence[Event], zone: str, as_of: datetime) -> dict[str, Any]:
    """What the events of one person, each once and all before as_of, come to. Times in milliseconds."""

    def day(event: Event) -> date:
        return datetime.fromtimestamp(event["timestamp"] / 1000, UTC).astimezone(ZoneInfo(zone)).date()

    named: dict[tuple[str, str | None], list[int]] = {}
    for event in events:
        name = (
            event[{"track": "event", "page": "name"}[event["table"]]] if event["table"] in ("track", "page") else None
        )
        named.setdefault((event["table"], name), []).append(event["timestamp"])
    times = [event["timestamp"] for event in events]
    days = Counter(map(day, events))
    today = as_of.astimezone(ZoneInfo(zone)).date()
    return {
        "events": len(events),
        "seen": (min(times), max(times)) if times else (None, None),
        "days_active": len(days),
        "names": sorted(
            ((table, name, len(found), min(found), max(found)) for (table, name), found in named.items()),
            key=lambda one: (-one[2], one[0], one[1] or ""),
        ),
        "days": [(str(today - timedelta(days=back)), days[today - timedelta(days=back)]) for back in range(29, -1, -1)],
    }
