"""Which session an event belongs to, as SQL. Meanings: docs/sessions.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.kit.sessions import DEFAULT, split

ORDER: Final = ("message", "source")
"""The names of the columns that order events of one time (source.ORDER)."""


def gathered(events: str, item: str) -> str:
    """Return a SELECT of `actor` and `found`, the sorted array of `item` (SQL of a value) over the actor's `events` (a
    SELECT with `actor`)."""
    # To group by unresolved keys first saves no time here and holds every array twice.
    return f"SELECT actor, arraySort(groupArray({item})) AS found FROM ({events}) GROUP BY actor"


def arranged(events: str, values: Sequence[str]) -> str:
    """Return a SELECT of `actor`, `found` (sorted times) and an array for each of `values`, all in the order of time.

    `events`: a SELECT of `actor`, `ts`, the columns of ORDER, and `values`. Arrays of one type each are gathered and
    sorted in a third of the time that tuples take; those are made only for actors with equal times.
    """
    columns = ("ts", *ORDER, *values)
    all_ = ", ".join(f"groupArray({name}) AS all_{name}" for name in columns)
    zipped = f"arrayZip({', '.join(f'all_{name}' for name in columns)})"
    sorted_ = ", ".join(
        f"if(tied, exact.{number}, arraySort((value, moment) -> moment, all_{name}, all_ts)) AS {name}"
        for number, name in enumerate(values, len(ORDER) + 2)
    )
    return (
        f"SELECT actor, found, {sorted_} FROM (SELECT actor, {all_}, "
        "arraySort(all_ts) AS found, arrayExists(gap -> gap = 0, arrayPopFront(arrayDifference(found))) AS tied, "
        f"arraySort(if(tied, {zipped}, [])) AS exact FROM ({events}) GROUP BY actor)"
    )


def marks() -> str:
    """Return SQL of an array of 1 for events that begin one of the `sessions` that `split` found, and 0 for others."""
    return "arrayFlatten(arrayMap(one -> arrayResize([1], one.3, 0), sessions))"


def keyed(events: str, found: str) -> str:
    """Return `events` (a SELECT of `actor` and `ts`, and more), each with the key of its session for that of its actor.

    `found`: `gathered` times of the events that make the sessions; whatever lies in none of them is left out.
    """
    begins = f"SELECT actor, arrayJoin(sessions).1 AS begin FROM (SELECT actor, {', '.join(split('found', DEFAULT))} "
    # Events of one time are in one session, so that time alone tells which.
    return (
        f"SELECT concat(toString(event.actor), ':', toString(session.begin)) AS actor, event.* EXCEPT (actor) "
        f"FROM ({events}) AS event ASOF INNER JOIN ({begins}FROM ({found}))) AS session "
        "ON event.actor = session.actor AND event.ts >= session.begin"
    )
