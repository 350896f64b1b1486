"""Who an event counts for, which events a series means, what a field shows: docs/analyses.md, followed literally."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from tests.oracle import events as events_oracle
from tests.oracle import identity as identity_oracle
from tests.oracle import predicates
from tests.oracle.events import Event

Key: TypeAlias = tuple[Literal["user", "anonymous"], str] | str
"""A person, or the text of what is counted instead."""
EventId: TypeAlias = tuple[str, str]
"""(table, message_id)"""
Pairs: TypeAlias = list[tuple[Key, Event]]

ALL_TABLES = ("track", "identify", "page", "group")
NAME_OF = {"track": "event", "page": "name"}


def id_of(event: Event) -> EventId:
    """Return what tells an event from all others of its workspace."""
    return event["table"], event["message_id"]


def keyed(
    events: Iterable[Event],
    workspace: UUID,
    analyse_by: str = "actor",
    merges: Mapping[identity_oracle.Person, identity_oracle.Person] | None = None,
) -> Pairs:
    """Return the distinct events of a workspace, each with whom it counts for, ordered by (timestamp, message_id,
    table). Those that count for nobody are left out. `events` must be all of the workspace's: any may be a link."""
    once = sorted(
        events_oracle.distinct(events),
        key=lambda event: (event["timestamp"], event["message_id"].encode(), event["table"]),
    )
    people = identity_oracle.actors(workspace, [_identified(event) for event in once], merges or {})
    pairs: Pairs = []
    for event in once:
        key = people[id_of(event)] if analyse_by == "actor" else _own_key(event, analyse_by)
        if key:
            pairs.append((key, event))
    return pairs


def _own_key(event: Event, analyse_by: str) -> Key | None:
    if analyse_by == "user_id":
        known = identity_oracle.known(event["user_id"])
        return ("user", known) if known else None
    if analyse_by == "anonymous_id":
        return identity_oracle.known(event["anonymous_id"]) or None
    if analyse_by == "group_id":
        found = value("group_id" if event["table"] == "group" else "context.groupId", event)
        return identity_oracle.known(found or "") or None
    return value(analyse_by, event)


def meant(
    series: Mapping[str, Any],
    pairs: Pairs,
    *,
    where: Mapping[str, Any] | None = None,
    end_of_history: int,
    as_of: datetime,
    zone: str = "UTC",
) -> set[EventId]:
    """Return which events a series (as a request writes it) means, whatever the range: of every key all that match
    before `end_of_history` (milliseconds; the later of the range's end and as_of), or its first or last if that has
    what `having` asks. `where` is the analysis' own."""
    matching: dict[Key, list[Event]] = {}
    for key, event in pairs:
        asked = [predicate for predicate in (where, series.get("where")) if predicate is not None]
        if (
            event["timestamp"] < end_of_history
            and event["table"] in tables_of(series)
            and is_named(series, event)
            and all(holds(predicate, event, as_of=as_of, zone=zone) for predicate in asked)
        ):
            matching.setdefault(key, []).append(event)
    occurrence = series.get("occurrence", "any")
    if occurrence == "any":
        return {id_of(event) for events in matching.values() for event in events}
    having = series.get("having")
    ones = [events[0 if occurrence == "first" else -1] for events in matching.values()]
    return {id_of(one) for one in ones if having is None or holds(having, one, as_of=as_of, zone=zone)}


def tables_of(series: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tables a series names."""
    table = series.get("table", "track")
    if table == "any":
        return ALL_TABLES
    return (table,) if isinstance(table, str) else tuple(table)


def is_named(series: Mapping[str, Any], event: Event) -> bool:
    """Tell whether an event's name is one of a series'; a series without names means all."""
    names = series.get("names", ())
    column = NAME_OF.get(event["table"])
    return not names or (column is not None and event[column] in names)


def holds(predicate: Mapping[str, Any], event: Event, *, as_of: datetime, zone: str = "UTC") -> bool:
    """Tell whether a predicate is true of an event."""
    return predicates.holds(dict(predicate), _timed(event), as_of=as_of, timezone_name=zone)


def value(field: str, event: Event) -> str | None:
    """Return the text of a field as breakdowns show it; None when absent. With `[]` in the field: the compact JSON of
    its values."""
    found = [one for one in predicates.of_row(_timed(event), field) if not predicates.absent(one)]
    if not found:
        return None
    if "[]" in field.replace("\\[]", ""):
        return f"[{','.join(map(predicates.compact, found))}]"
    return predicates.shown(found[0])


def number(field: str, event: Event) -> int | float | None:
    """Return the number a field's value is, None when it is none."""
    found = predicates.of_row(_timed(event), field)
    return predicates.number(found[0]) if found else None


def _timed(event: Event) -> dict[str, Any]:
    moments = {key: datetime.fromtimestamp(event[key] / 1000, UTC) for key in ("timestamp", "received_at")}
    return event | moments


def _identified(event: Event) -> identity_oracle.Event:
    return identity_oracle.Event(
        event["table"],
        event["message_id"],
        event["user_id"],
        event["anonymous_id"],
        datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
    )


def group(parts: Iterable[Any], event: Event) -> tuple[str | None, ...]:
    """Return an event's values of a breakdown's parts, as a request writes them: fields and numeric buckets."""
    return tuple(value(part, event) if isinstance(part, str) else _bucket(part, event) for part in parts)


def _bucket(part: Mapping[str, Any], event: Event) -> str | None:
    found = number(part["field"], event)
    if found is None:
        return None
    texts = [f"{bound:g}" for bound in part["bounds"]]
    below = [text for bound, text in zip(part["bounds"], texts, strict=True) if bound <= found]
    above = [text for bound, text in zip(part["bounds"], texts, strict=True) if bound > found]
    if not below:
        return f"<{texts[0]}"
    return f"{below[-1]}..{above[0]}" if above else f">={texts[-1]}"
