"""What `POST /query/events` means, over events as they were sent.

An event is a dict: table, message_id, user_id, anonymous_id, timestamp and received_at (milliseconds), event, name,
group_id, properties, traits, context. The same (table, message_id) may be there several times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Event = dict[str, Any]


def distinct(events: Iterable[Event]) -> list[Event]:
    """Keep of each (table, message_id) the row received first."""
    kept: dict[tuple[str, str], Event] = {}
    for event in events:
        key = (event["table"], event["message_id"])
        if key not in kept or event["received_at"] < kept[key]["received_at"]:
            kept[key] = event
    return list(kept.values())


def select(
    events: Iterable[Event],
    *,
    tables: Iterable[str],
    start: int | None,
    end: int,
    where: Callable[[Event], bool] = lambda event: True,
    newest: bool = True,
) -> list[Event]:
    """Return the matching events in order: start ≤ timestamp < end, by (timestamp, message_id, table)."""
    named = set(tables)
    chosen = [
        event
        for event in distinct(events)
        if event["table"] in named
        and (start is None or event["timestamp"] >= start)
        and event["timestamp"] < end
        and where(event)
    ]
    return sorted(
        chosen,
        key=lambda event: (event["timestamp"], event["message_id"].encode(), event["table"]),
        reverse=newest,
    )
