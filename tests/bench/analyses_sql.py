"""What the analyses are measured against: the scan that hashes what an answer depends on, and an analyst's own SQL.

The analyst's statements know no identity links and remove no duplicates; ours do both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.kit import sql
from tests.bench.analyses_data import WORKSPACE

_PERSON: Final = "if(user_id != '', user_id, anonymous_id)"


def rows(names: Sequence[str], start: str, end: str) -> str:
    """Return FROM and WHERE of the events an analysis reads."""
    named = f" AND event IN ({', '.join(map(sql.string, names))})" if names else ""
    return (
        f"FROM cdp.events_track WHERE workspace_id = {sql.uuid(WORKSPACE)} AND timestamp >= '{start} 00:00:00' "
        f"AND timestamp < '{end} 00:00:00'{named}"
    )


def scan(names: Sequence[str], start: str, end: str) -> str:
    """Return the scan that hashes every contract column."""
    return f"SELECT sum(cityHash64(user_id, anonymous_id, message_id, timestamp, event)) {rows(names, start, end)}"


def funnel(names: Sequence[str], start: str, end: str, days: int) -> str:
    """Return counts of an ordered funnel of three steps, by window functions: from each first step the nearest second,
    from there the nearest third."""
    first, second, third = map(sql.string, names)
    following = "OVER (PARTITION BY person ORDER BY timestamp ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
    return f"""
        WITH events AS (SELECT {_PERSON} AS person, timestamp, event {rows(names, start, end)}),
        third AS (SELECT *, minIf(timestamp, event = {third}) {following} AS t3,
            countIf(event = {third}) {following} AS n3 FROM events),
        second AS (SELECT *, minIf(timestamp, event = {second}) {following} AS t2,
            countIf(event = {second}) {following} AS n2,
            argMinIf(t3, timestamp, event = {second} AND n3 > 0) {following} AS t32,
            countIf(event = {second} AND n3 > 0) {following} AS n32 FROM third),
        depths AS (SELECT person, max(1 + if(n2 > 0 AND t2 <= timestamp + INTERVAL {days} DAY,
            1 + (n32 > 0 AND t32 <= timestamp + INTERVAL {days} DAY), 0)) AS depth
            FROM second WHERE event = {first} GROUP BY person)
        SELECT countIf(depth >= 1), countIf(depth >= 2), countIf(depth >= 3) FROM depths"""


def retention(names: Sequence[str], start: str, end: str, weeks: int) -> str:
    """Return weekly recurring retention, by a self-join of distinct (person, week)."""
    first, back = map(sql.string, names)
    return f"""
        WITH active AS (
            SELECT DISTINCT {_PERSON} AS person, toMonday(timestamp) AS week, event {rows(names, start, end)})
        SELECT s.week, intDiv(r.week - s.week, 7) AS k, uniqExact(s.person)
        FROM (SELECT * FROM active WHERE event = {first}) AS s
        INNER JOIN (SELECT * FROM active WHERE event = {back}) AS r ON s.person = r.person
        WHERE r.week >= s.week AND k < {weeks} GROUP BY s.week, k"""


def sessions(start: str, end: str) -> str:
    """Return sessions and their mean length, by window functions."""
    ordered = "OVER (PARTITION BY person ORDER BY timestamp"
    return f"""
        WITH gaps AS (SELECT {_PERSON} AS person, timestamp,
            if(timestamp > lagInFrame(timestamp) {ordered} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
                + INTERVAL 30 MINUTE, 1, 0) AS begins {rows((), start, end)}),
        numbered AS (SELECT person, timestamp,
            sum(begins) {ordered} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS session FROM gaps)
        SELECT count(), avg(seconds), avg(events), countIf(events = 1) FROM (SELECT count() AS events,
            dateDiff('second', min(timestamp), max(timestamp)) AS seconds FROM numbered GROUP BY person, session)"""


def total(names: Sequence[str], start: str, end: str) -> str:
    """Return events a day."""
    return f"SELECT toDate(timestamp) AS day, count() {rows(names, start, end)} GROUP BY day"


def actors(names: Sequence[str], start: str, end: str) -> str:
    """Return distinct persons a day."""
    return f"SELECT toDate(timestamp) AS day, uniqExact({_PERSON}) {rows(names, start, end)} GROUP BY day"


def lifecycle(names: Sequence[str], start: str, end: str) -> str:
    """Return new, returning and resurrecting persons a week, by a window function over distinct (person, week)."""
    return f"""
        WITH active AS (SELECT DISTINCT {_PERSON} AS person, toMonday(timestamp) AS week {rows(names, start, end)}),
        before AS (SELECT person, week, lagInFrame(week) OVER (PARTITION BY person ORDER BY week
            ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous FROM active)
        SELECT week, countIf(previous = toDate(0)), countIf(week - previous = 7), countIf(week - previous > 7
            AND previous != toDate(0)) FROM before GROUP BY week"""


def stickiness(names: Sequence[str], start: str, end: str) -> str:
    """Return persons by number of active days."""
    return f"""
        SELECT days, count() FROM (SELECT {_PERSON} AS person, uniqExact(toDate(timestamp)) AS days
        {rows(names, start, end)} GROUP BY person) GROUP BY days"""


def paths(start: str, end: str) -> str:
    """Return the commonest pairs of following names inside sessions, by window functions."""
    ordered = "OVER (PARTITION BY person ORDER BY timestamp ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
    return f"""
        WITH steps AS (SELECT {_PERSON} AS person, timestamp, event, lagInFrame(event) {ordered} AS previous,
            lagInFrame(timestamp) {ordered} AS moment {rows((), start, end)})
        SELECT previous, event, count() AS pairs FROM steps
        WHERE timestamp <= moment + INTERVAL 30 MINUTE AND previous != event GROUP BY previous, event
        ORDER BY pairs DESC LIMIT 50"""
