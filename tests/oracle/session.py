"""What `POST /query/session` and `analyse_by: session` mean, event by event: docs/sessions.md."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from tests.oracle import buckets, series
from tests.oracle.events import Event
from tests.oracle.series import Key, Pairs

TIMEOUT, MAX_DURATION = 1_800, 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Values: TypeAlias = tuple[str | None, ...]


@dataclass(frozen=True)
class Session:
    """One actor's events in their order."""

    key: Key
    events: tuple[Event, ...]

    @property
    def start(self) -> int:
        return int(self.events[0]["timestamp"])

    @property
    def end(self) -> int:
        return int(self.events[-1]["timestamp"])

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1000

    @property
    def pages(self) -> list[Event]:
        return [event for event in self.events if event["table"] == "page"]


def sessions(pairs: Pairs, timeout: int = TIMEOUT, max_duration: int = MAX_DURATION) -> list[Session]:
    """Cut each key's events, in their order, into sessions."""
    found: list[Session] = []
    current: dict[Key, list[Event]] = {}
    for key, event in pairs:
        session = current.get(key)
        if session is not None and (
            event["timestamp"] - session[-1]["timestamp"] > timeout * 1000
            or event["timestamp"] - session[0]["timestamp"] > max_duration * 1000
        ):
            found.append(Session(key, tuple(session)))
            session = None
        if session is None:
            session = current[key] = []
        session.append(event)
    return found + [Session(key, tuple(session)) for key, session in current.items()]


def of_request(
    request: Mapping[str, Any], pairs: Pairs, *, start: datetime, end: datetime, as_of: datetime
) -> list[Session]:
    """Return the sessions that a request means; `pairs`: all events, keyed by its `analyse_by`."""
    tables = series.tables_of({"table": request.get("table", ["track", "page"])})
    where = request.get("where")
    zone = request.get("timezone", "UTC")
    seen = [
        (key, event)
        for key, event in pairs
        if event["table"] in tables
        and milliseconds(start) <= event["timestamp"] < milliseconds(end)
        and (where is None or series.holds(where, event, as_of=as_of, zone=zone))
    ]
    return sessions(seen, request.get("timeout", TIMEOUT), request.get("max_duration", MAX_DURATION))


def figures(found: Sequence[Session]) -> dict[str, Any]:
    """Return the figures of some sessions."""
    count = len(found)
    lengths = sorted(session.seconds for session in found)
    events = sum(len(session.events) for session in found)
    bounces = sum(len(session.events) == 1 for session in found)
    return {
        "sessions": count,
        "actors": len({session.key for session in found}),
        "events": events,
        "bounces": bounces,
        "events_per_session": events / count if count else None,
        "bounce_rate": bounces / count if count else None,
        "mean_seconds": sum(lengths) / count if count else None,
        "median_seconds": quantile(lengths, 0.5),
        "p90_seconds": quantile(lengths, 0.9),
    }


def quantile(ordered: Sequence[float], level: float) -> float | None:
    """Interpolate linearly between the values around position level * (n - 1)."""
    if not ordered:
        return None
    place = level * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def page(session: Session, last: bool) -> str | None:
    """Return a session's entry page, or its exit page."""
    if not session.pages:
        return None
    event = session.pages[-1 if last else 0]
    own = series.value("properties.path", event)
    return own if own is not None else series.value("context.page.path", event)


def values(session: Session, parts: Sequence[Any]) -> Values:
    """Return the group of a session: a field's text, a bucket's name, a page."""
    return tuple(_value(session, part) for part in parts)


def _value(session: Session, part: Any) -> str | None:
    if part in ("entry_page", "exit_page"):
        return page(session, part == "exit_page")
    first = session.events[0]
    if isinstance(part, str):
        field, table = part.split(".")[0], first["table"]
        if (field == "event" and table != "track") or (field == "name" and table != "page"):
            return None
        return series.value(part, first)
    number = series.number(part["field"], first)
    if number is None:
        return None
    bounds = part["bounds"]
    texts = [f"{bound:g}" for bound in bounds]
    for index, bound in enumerate(bounds):
        if number < bound:
            return f"<{texts[0]}" if index == 0 else f"{texts[index - 1]}..{texts[index]}"
    return f">={texts[-1]}"


def ranked(found: Iterable[Session], parts: Sequence[Any], limit: int) -> list[tuple[Values | None, list[Session]]]:
    """Return the groups that stay, most sessions first, ties by text, null before all; then the rest under None."""
    groups: dict[Values, list[Session]] = {}
    for session in found:
        groups.setdefault(values(session, parts), []).append(session)
    order = sorted(groups, key=lambda one: (-len(groups[one]), [(value or "").encode() for value in one]))
    kept: list[tuple[Values | None, list[Session]]] = [(one, groups[one]) for one in order[:limit]]
    rest = [session for one in order[limit:] for session in groups[one]]
    return kept + ([(None, rest)] if rest else [])


def intervals(
    start: datetime, end: datetime, interval: str, zone: str, week_start: str
) -> list[tuple[datetime, datetime]]:
    """Return the intervals that touch [start, end)."""
    longest = {"hour": 1, "day": 3, "week": 9, "month": 33}[interval]
    early = (start - timedelta(days=longest)).replace(second=0, microsecond=0)
    late = (end + timedelta(days=longest)).replace(second=0, microsecond=0)
    starts = buckets.starts(early, late, interval, ZoneInfo(zone), week_start)
    pairs = itertools.pairwise(starts)
    return [(first, following) for first, following in pairs if following > start and first < end]


def in_interval(found: Iterable[Session], interval: tuple[datetime, datetime]) -> list[Session]:
    """Return the sessions whose first event lies in an interval."""
    first, following = map(milliseconds, interval)
    return [session for session in found if first <= session.start < following]


def keyed(pairs: Pairs, *, seen: Callable[[Event], bool]) -> Pairs:
    """Return the events of sessions with the key of their session in place of their actor's, as lists show it.

    `pairs`: by actor. `seen`: whether the analysis reads an event.
    """
    read = [(key, event) for key, event in pairs if event["table"] in ("track", "page") and seen(event)]
    return sorted(
        (((*session.key, stamp(session.start)), event) for session in sessions(read) for event in session.events),
        key=lambda pair: (pair[1]["timestamp"], pair[1]["message_id"].encode(), pair[1]["table"]),
    )


def stamp(moment: int) -> str:
    """Return a time as lists of sessions show it."""
    return (EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """Return the first whole millisecond at or after a moment."""
    return -((EPOCH - moment) // timedelta(milliseconds=1))
