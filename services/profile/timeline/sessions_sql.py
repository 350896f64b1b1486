"""SQL of one person's sessions: cut from the times of their events; and of the pages they begin and end with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.kit import sql
from services.kit.sessions import Limits, page_path, split
from services.profile.timeline.frame import Frame
from services.profile.timeline.statements import EVENTS, KEY, instant


class Session(NamedTuple):
    """Times in milliseconds since the epoch."""

    start: int
    end: int
    events: int


class Edge(NamedTuple):
    """The sorting key of a page event at which a session's pages begin or end; `timestamp` in milliseconds."""

    timestamp: int
    mid: int
    name: bytes
    actor_key: int


def sessions_sql(condition: str, limits: Limits, *, newest: bool, after: int | None, limit: int) -> str:
    """Return how many sessions there are, and the first `limit` of those that begin behind `after`, in one row; none
    where there are no events."""
    times = f"SELECT toUnixTimestamp64Milli(timestamp) AS ts FROM {EVENTS} PREWHERE {condition} GROUP BY {KEY}"
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
    """Return the `Edge`s of the first and of the last page events of sessions: several where they share a time."""
    first, last = min(one.start for one in sessions), max(one.end for one in sessions)
    starts = ", ".join(f"toInt64({sql.integer(one.start)})" for one in sessions)
    ends = ", ".join(f"toInt64({sql.integer(one.end)})" for one in sessions)
    places = (
        "SELECT toUnixTimestamp64Milli(timestamp) AS ts, sipHash64(message_id) AS mid, name, actor_key, "
        f"arrayFirstIndex((start, end) -> ts BETWEEN start AND end, [{starts}], [{ends}]) AS session "
        f"FROM {EVENTS} PREWHERE {condition} AND source = 'page' "
        f"AND timestamp BETWEEN {instant(first)} AND {instant(last)} WHERE session > 0"
    )
    bounds = "min(ts) OVER (PARTITION BY session) AS first, max(ts) OVER (PARTITION BY session) AS last"
    framed = f"SELECT *, {bounds} FROM ({places})"
    return f"SELECT * EXCEPT (session, first, last) FROM ({framed}) WHERE ts = first OR ts = last"


def paths_sql(edges: Sequence[Edge], frame: Frame) -> str:
    """Return the timestamp, message id, version and path ('' for none) of page events, in no order; of one
    that was sent twice the highest version counts."""
    wanted = ", ".join(
        f"(unhex('{one.name.hex()}'), toUInt64({one.actor_key}), {instant(one.timestamp)}, toUInt64({one.mid}))"
        for one in edges
    )
    first, last = min(edges).timestamp, max(edges).timestamp
    return (
        f"SELECT toUnixTimestamp64Milli(timestamp) AS ts, message_id, version, {page_path(frame.scope('page'))} "
        f"FROM events_page PREWHERE workspace_id = {sql.uuid(frame.workspace)} "
        f"AND timestamp BETWEEN {instant(first)} AND {instant(last)} "
        f"AND (name, actor_key, timestamp, mid) IN ({wanted})"
    )
