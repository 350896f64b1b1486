"""SQL of one person's sessions: cut from the times of their events; and of the pages they begin and end with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.kit import sql
from services.kit.sessions import Limits, page_path, split
from services.profile.timeline.frame import Frame
from services.profile.timeline.statements import COLUMNS, PLACES, Place, at, instant


class Session(NamedTuple):
    """Times in milliseconds since the epoch."""

    start: int
    end: int
    events: int


def sessions_sql(condition: str, limits: Limits, *, newest: bool, after: int | None, limit: int) -> str:
    """Return how many sessions there are, and the first `limit` of those that begin behind `after`, in one row; none
    where there are no events."""
    times = (
        f"SELECT toUnixTimestamp64Milli(timestamp) AS ts FROM {PLACES} PREWHERE {condition} "
        "GROUP BY timestamp, mid, source"
    )
    found = f"SELECT arraySort(groupArray(ts)) AS found FROM ({times}) HAVING notEmpty(found)"
    behind = "sessions"
    if after is not None:
        behind = f"arrayFilter(one -> one.1 {'<' if newest else '>'} {sql.integer(after)}, sessions)"
    ordered = f"arrayReverse({behind})" if newest else behind
    return (
        f"SELECT length(sessions), arraySlice({ordered}, 1, {limit}) "
        f"FROM (SELECT {', '.join(split('found', limits))} FROM ({found}))"
    )


def edges_sql(condition: str, sessions: Sequence[Session]) -> str:
    """Return the places of the first and of the last page events of sessions: several where they share a time."""
    first, last = min(one.start for one in sessions), max(one.end for one in sessions)
    starts = ", ".join(f"toInt64({sql.integer(one.start)})" for one in sessions)
    ends = ", ".join(f"toInt64({sql.integer(one.end)})" for one in sessions)
    places = (
        f"SELECT {COLUMNS}, arrayFirstIndex((start, end) -> ts BETWEEN start AND end, [{starts}], [{ends}]) AS session "
        f"FROM {PLACES} PREWHERE {condition} AND source = 'page' "
        f"AND timestamp BETWEEN {instant(first)} AND {instant(last)} WHERE session > 0"
    )
    bounds = "min(ts) OVER (PARTITION BY session) AS first, max(ts) OVER (PARTITION BY session) AS last"
    framed = f"SELECT *, {bounds} FROM ({places})"
    return f"SELECT * EXCEPT (session, first, last) FROM ({framed}) WHERE ts = first OR ts = last"


def paths_sql(places: Sequence[Place], frame: Frame) -> str:
    """Return the timestamp, mid, message id, version and path ('' for none) of page events at some places."""
    return (
        f"SELECT toUnixTimestamp64Milli(timestamp) AS ts, mid, message_id, version, {page_path(frame.scope('page'))} "
        f"{at(places, 'page', frame)}"
    )
