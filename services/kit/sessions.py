"""Cutting an actor's times into sessions, as SQL. Meanings: docs/sessions.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.kit.predicates import Scope, compile_field

_NONE: Final = "CAST([], 'Array(Tuple(Int64, Int64, Int64))')"


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a session, in milliseconds: a gap longer than `timeout`, an event more than `duration` after its
    first."""

    timeout: int
    duration: int


DEFAULT: Final = Limits(timeout=1_800_000, duration=86_400_000)


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


def page_path(scope: Scope) -> str:
    """Return SQL of the path of a page event, '' for none: `properties.path`, else `context.page.path`."""
    own, context = (compile_field(name, scope, "").text for name in ("properties.path", "context.page.path"))
    return f"ifNull(coalesce({own}, {context}), '')"
