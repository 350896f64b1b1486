"""Random questions about activity over many histories that are independent of each other in one workspace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.oracle.activity import OTHER, Group, Question
from tests.oracle.events import Event
from tests.oracle.histories import history

HISTORIES = 40
ZONES = (
    ("UTC", datetime(2024, 2, 20, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 3, 25, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 10, 22, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 10, 29, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 1, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 10, 31, tzinfo=UTC)),
    ("America/Havana", datetime(2024, 10, 30, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 26, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(1985, 12, 28, tzinfo=UTC)),
)
SUBJECTS = ("actor", "actor", "actor", "user_id", "anonymous_id", "group_id", "properties.order", "context.locale")
WHERE: tuple[dict[str, Any], ...] = (
    {"op": "exists", "field": "properties.n"},
    {"op": "neq", "field": "context.locale", "value": "de"},
    {"op": "not", "item": {"op": "in", "field": "properties.x", "value": ["a", 1]}},
    {"op": "within_last", "field": "timestamp", "value": "4d"},
)
PARTS: tuple[Any, ...] = (
    "properties.x",
    "context.locale",
    "properties.products[].sku",
    "table",
    {"kind": "buckets", "field": "properties.n", "bounds": [1, 2.5, 100]},
)
DAYS = 12


def events_of(rng: Random, zone: str, start: datetime) -> list[Event]:
    """Return the events of a workspace, those that arrived first before."""
    return [
        event
        for number in range(HISTORIES)
        for event in history(rng, people=3, events=14, start=start, days=DAYS, zone=zone, prefix=f"{number}/")
    ]


def question(rng: Random, events: list[Event], workspace: UUID, zone: str, first: datetime) -> Question:
    """Return a question with what every request about activity may say."""
    period = rng.choice(("hour", "day", "day", "day", "week", "month"))
    start = first + timedelta(minutes=rng.randrange(-1_440, DAYS * 1_440))
    if rng.random() < 0.4:
        start = start.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, fold=0).astimezone(UTC)
    # 300 hours and more do not fit into one integer.
    length = rng.choice((0, 600, 1_440, 3 * 1_440, 7 * 1_440, 18 * 1_440))
    end = start + timedelta(minutes=length, milliseconds=rng.choice((0, 0, 1, 499)))
    as_of = rng.choice((end, start + (end - start) / 2, end + timedelta(hours=5), end + timedelta(days=40)))
    as_of = as_of.replace(microsecond=0)
    request: dict[str, Any] = {
        "series": [_series(rng) for _ in range(rng.choice((1, 1, 2)))],
        "period": period,
        "from": start.isoformat(),
        "to": end.isoformat(),
        "as_of": as_of.isoformat(),
        "timezone": zone,
        "week_start": rng.choice(("monday", "sunday")),
        "analyse_by": rng.choice(SUBJECTS),
    }
    if rng.random() < 0.3:
        request["where"] = rng.choice(WHERE)
    if rng.random() < 0.4:
        limit = rng.choice((1, 2, 3, 25))
        request["breakdown"] = {"by": rng.sample(PARTS, rng.choice((1, 1, 2))), "limit": limit}
        if "context.locale" in request["breakdown"]["by"] and request["analyse_by"] == "context.locale":
            request["analyse_by"] = "actor"
    return Question(request, events, workspace, start, end, as_of)


def shown(group: Group) -> dict[str, Any] | None:
    """Return a group as answers write it."""
    if group is None:
        return None
    return {"values": [], "other": True} if group == OTHER else {"values": list(group), "other": False}


def _series(rng: Random) -> dict[str, Any]:
    found: dict[str, Any] = {"table": rng.choice(("track", "track", "page", ["track", "page"], "any"))}
    if rng.random() < 0.5:
        found["names"] = rng.sample(("a", "b", "c"), rng.choice((1, 2)))
    if rng.random() < 0.3:
        found["where"] = rng.choice(WHERE)
    if rng.random() < 0.3:
        found["label"] = "labelled"
    return found
