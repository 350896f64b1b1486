"""Which session an event belongs to, as SQL. Meanings: docs/sessions.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ORDER: Final = ("message", "source")
"""The names of the columns that order events of one time (source.ORDER)."""
_NONE: Final = "CAST([], 'Array(Tuple(Int64, Int64, Int64))')"


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a session, in milliseconds: a gap longer than `timeout`, an event more than `duration` after its
    first."""

    timeout: int
    duration: int


DEFAULT: Final = Limits(timeout=1_800_000, duration=86_400_000)


def gathered(events: str, item: str) -> str:
    """Return a SELECT of `actor` and `found`, the sorted array of `item` (SQL of a value) over the actor's `events` (a
    SELECT with `actor`)."""
    # To group by unresolved keys first saves no time here and holds every array twice.
    return f"SELECT actor, arraySort(groupArray({item})) AS found FROM ({events}) GROUP BY actor"


def split(moments: str, limits: Limits) -> list[str]:
    """Return items of a SELECT, the last of which is `sessions`: Array(Tuple(start, end, number of events)), all Int64.

    `moments`: SQL of an actor's sorted times, Array(Int64), milliseconds, with one element or more. Every step is
    linear in it and no lambda takes an array along, which the engine would copy for each element. Only `pieces` goes on
    one session after the other, over parts that are longer than a session may be, and only they are given to it.
    """
    begins = f"gap > {limits.timeout}"
    return [
        f"{moments} AS moments",
        "arrayDifference(moments) AS gaps",
        f"arrayFilter((place, gap) -> place = 1 OR {begins}, arrayEnumerate(moments), gaps) AS places",
        f"arrayFilter((moment, place, gap) -> place = 1 OR {begins}, moments, arrayEnumerate(moments), gaps) AS starts",
        f"arrayFilter((moment, gap) -> {begins}, moments, arrayPushBack(arrayPopFront(gaps), {limits.timeout + 1})) "
        "AS ends",
        "arrayPopFront(arrayDifference(arrayPushBack(places, length(moments) + 1))) AS sizes",
        "arrayZip(starts, ends, arrayMap(size -> toInt64(size), sizes)) AS visits",
        f"arrayExists((start, end) -> end - start > {limits.duration}, starts, ends) AS cut",
        f"arraySplit((moment, gap) -> {begins}, if(cut, moments, []), if(cut, gaps, [])) AS parts",
        f"arrayMap(part -> {_pieces('part', limits.duration)}, parts) AS pieces",
        "if(cut, arrayFlatten(pieces), visits) AS sessions",
    ]


def _pieces(part: str, duration: int) -> str:
    """Return SQL of the sessions of a part without gaps: each step takes those from the first event left on.

    Of pieces that begin more than `duration` apart there are at most as many as that fits in, and one.
    """
    steps = f"least(length({part}), toUInt64(intDiv({part}[-1] - {part}[1], {duration}) + 1))"
    until = f"arrayFirst(n -> 1, arrayMap(last -> arrayCount(t -> t <= last, done.2), [done.2[1] + {duration}]))"
    piece = f"(done.2[1], done.2[toInt64({until})], toInt64({until}))"
    step = f"if(empty(done.2), done, (arrayPushBack(done.1, {piece}), arraySlice(done.2, {until} + 1)))"
    return f"arrayFold((done, step) -> {step}, range({steps}), ({_NONE}, {part})).1"


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
