"""Small random histories made to be awkward: ties, messages sent again, anonymous ids that become known, devices that
people share, blocked ids, late arrival, several tables, values of mixed types, clock changes of the zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cache
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.events import Event

TABLES = ("track", "track", "track", "page", "page", "identify", "group")
VALUES: tuple[Any, ...] = (
    None,
    "",
    "a",
    "b",
    "a",
    "B",
    1,
    "1",
    1.0,
    2,
    -3,
    2.5,
    "10",
    "1e1",
    True,
    "true",
    [],
    ["a", 1],
    {},
    {"y": 1},
)
NUMBERS = (0, 1, 2, 2, 3.5, 10, 99.5, 100, -1, "7", "2.0", "x", None, True, 1e18)
GROUPS = ("g1", "g1", "g2", "", "null")
PATHS = ("/", "/cart", "/help", "/a/b", "")
BLOCKED = ("null", "undefined", "anonymous")
_GRIDS = (1_000, 60_000, 3_600_000)


def history(
    rng: Random,
    *,
    people: int = 3,
    events: int = 12,
    names: Sequence[str] = ("a", "b", "c"),
    start: datetime,
    days: float = 7,
    zone: str = "UTC",
    tables: Sequence[str] = TABLES,
    prefix: str = "",
) -> list[Event]:
    """Return about `events` events (one more for each that was sent twice) in the order of their arrival.

    `start`: aware; the events lie in the `days` that follow. All ids, of messages too, begin with `prefix`, so that
    histories with different ones are independent of each other in one workspace. `tables`: drawn from, so a table named
    twice is twice as likely. Rows of one message differ in nothing but properties, traits, context and received_at.
    """
    moments = _Moments(rng, start, days, ZoneInfo(zone))
    persons = [_Person(rng, moments, number, prefix) for number in range(people)]
    found: list[Event] = []
    used: set[tuple[str, str]] = set()
    while len(found) < events:
        table = rng.choice(tables)
        # Few ids: one message id stands in several tables, and their order is not that of time.
        message_id = f"{prefix}{rng.choice('mMé')}{rng.randrange(2 * events)}"
        if (table, message_id) in used:
            continue
        used.add((table, message_id))
        timestamp = moments.draw()
        user_id, anonymous_id = rng.choice(persons).ids(timestamp)
        name = rng.choice(names)
        found.append(
            {
                "table": table,
                "message_id": message_id,
                "user_id": user_id,
                "anonymous_id": anonymous_id,
                "timestamp": timestamp,
                "received_at": timestamp + rng.randrange(40) * 1_000_000,
                "event": name,
                "name": name,
                "group_id": _grouped(rng, prefix),
                **_objects(rng, prefix),
            }
        )
    again = [event for event in found if rng.random() < 0.2]
    found += [_sent_again(rng, event, prefix) for event in again]
    rng.shuffle(found)
    return found


def _sent_again(rng: Random, event: Event, prefix: str) -> Event:
    changed = _objects(rng, prefix) if rng.random() < 0.7 else {}
    shift = rng.choice((-1, 1)) * (1 + rng.randrange(1_000_000))
    return event | changed | {"received_at": event["received_at"] + shift}


def _grouped(rng: Random, prefix: str) -> str:
    group = rng.choice(GROUPS)
    return prefix + group if group in ("g1", "g2") else group


def _objects(rng: Random, prefix: str) -> dict[str, dict[str, Any]]:
    """Return properties, traits and context."""
    properties = {
        "x": rng.choice(VALUES),
        "n": rng.choice(NUMBERS),
        "order": rng.choice((f"{prefix}o1", f"{prefix}o2", "", None)),
        "path": rng.choice(PATHS),
        "products": [{"sku": rng.choice("pq"), "price": rng.choice((1, 2.5))} for _ in range(rng.randrange(3))],
    }
    context = {
        "groupId": _grouped(rng, prefix),
        "locale": rng.choice(("de", "en", "")),
        "page": {"path": rng.choice(PATHS)},
    }
    return {
        "properties": {key: value for key, value in properties.items() if rng.random() < 0.7},
        "traits": {"plan": rng.choice(("free", "pro", 1, "1", None))} if rng.random() < 0.7 else {},
        "context": {key: value for key, value in context.items() if rng.random() < 0.7},
    }


class _Person:
    """Anonymous until some moment, then known; on a device of their own or one that two share."""

    def __init__(self, rng: Random, moments: _Moments, number: int, prefix: str) -> None:
        self._rng = rng
        self._user = f"{prefix}u{number}"
        self._devices = (f"{prefix}a{number}", f"{prefix}a{number}", f"{prefix}shared{number // 2}")
        # An anonymous id may be spelt like a user's.
        self._stranger = f"{prefix}u{rng.randrange(number + 1)}"
        self._known_from = moments.draw() if rng.random() < 0.7 else None

    def ids(self, timestamp: int) -> tuple[str, str]:
        rng = self._rng
        device = self._stranger if rng.random() < 0.05 else rng.choice(self._devices)
        if rng.random() < 0.05:
            return rng.choice(("", *BLOCKED)), rng.choice(("", *BLOCKED))
        if self._known_from is None or timestamp < self._known_from:
            return rng.choice(("", "", "", *BLOCKED)), device
        kind = rng.random()
        if kind < 0.4:
            return self._user, device
        return (self._user, rng.choice(("", "null"))) if kind < 0.8 else ("", device)


class _Moments:
    """Times in milliseconds that often meet: some are taken again and again, or lie at the edges of local days, of
    hours, and of clock changes."""

    def __init__(self, rng: Random, start: datetime, days: float, zone: ZoneInfo) -> None:
        self._rng = rng
        self._first = _milliseconds(start)
        self._last = self._first + max(1, int(days * 86_400_000))
        grid = rng.choice(_GRIDS)
        popular = [rng.randrange(self._first, self._last) // grid * grid for _ in range(4)]
        day = start.astimezone(zone).date() + timedelta(days=rng.randrange(int(days) + 1))
        midnight = _milliseconds(datetime.combine(day, time(), zone))
        popular += [midnight - 1, midnight, midnight + grid]
        changes = clock_changes(start, start + timedelta(days=days), zone)
        for change in rng.sample(changes, min(2, len(changes))):
            popular += [change - 1, change, change + rng.choice((-3_600_000, -1_800_000, 1_800_000, 3_600_000))]
        inside = [moment for moment in popular if self._first <= moment < self._last]
        self._popular = rng.sample(inside, min(6, len(inside)))

    def draw(self) -> int:
        if self._popular and self._rng.random() < 0.7:
            return self._rng.choice(self._popular)
        return self._rng.randrange(self._first, self._last)


@cache
def clock_changes(start: datetime, end: datetime, zone: ZoneInfo) -> list[int]:
    """Return the instants (milliseconds) in [start, end) at which the offset of a zone changes."""
    found = []
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        following = hour + timedelta(hours=1)
        if hour.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            minute = hour
            while minute.astimezone(zone).utcoffset() == hour.astimezone(zone).utcoffset():
                minute += timedelta(minutes=1)
            if start <= minute < end:
                found.append(_milliseconds(minute))
        hour = following
    return found


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
