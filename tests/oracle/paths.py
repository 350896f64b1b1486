"""What `POST /query/paths` means, session by session: docs/paths.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.oracle import series
from tests.oracle.events import Event
from tests.oracle.series import Key
from tests.oracle.session import Session, stamp

Step: TypeAlias = tuple[str, int]
"""A name, and when."""
Node: TypeAlias = tuple[int, str]
Edge: TypeAlias = tuple[int, str, str]


@dataclass(frozen=True)
class Path:
    """Steps by position; `who` is counted for it."""

    who: Key
    steps: dict[int, Step]


def name(request: Mapping[str, Any], event: Event) -> str | None:
    """Return what an event is as a step."""
    table = event["table"]
    if table == "track":
        found = series.value(request.get("track", "event"), event)
    elif table == "page":
        asked = request.get("page", "name")
        fields = ("properties.path", "context.page.path") if asked == "path" else (asked,)
        found = next((text for text in (series.value(field, event) for field in fields) if text is not None), None)
    else:
        found = table
    names = request.get("names", ())
    return None if found in request.get("exclude", ()) or (names and found not in names) else found


def path(request: Mapping[str, Any], session: Session) -> Path | None:
    """Return a session's path, None if it has none."""
    steps: list[Step] = []
    for event in session.events:
        found = name(request, event)
        if found is not None and (not steps or steps[-1][0] != found):
            steps.append((found, event["timestamp"]))
    names = [step[0] for step in steps]
    count = request.get("positions", 5)
    start, end = request.get("start"), request.get("end")
    if end is not None:
        if end not in names:
            return None
        last = names.index(end)
        first = max(0, last - count + 1)
        placed = {number - last: steps[number] for number in range(first, last + 1)}
    else:
        if not names or (start is not None and start not in names):
            return None
        first = 0 if start is None else names.index(start)
        placed = dict(enumerate(steps[first : first + count], 1))
    who = (*session.key, stamp(session.start)) if request.get("analyse_by") == "session" else session.key
    return Path(who, placed)


def through(paths: Sequence[Path], node: Node) -> list[Path]:
    """Return the paths that have a node."""
    return [one for one in paths if one.steps.get(node[0], ("",))[0] == node[1]]


def along(paths: Sequence[Path], edge: Edge) -> list[Path]:
    """Return the paths that go along an edge."""
    position, first, second = edge
    return [one for one in through(paths, (position, first)) if one.steps.get(position + 1, ("",))[0] == second]


def dropped(request: Mapping[str, Any], paths: Sequence[Path], node: Node) -> list[Path] | None:
    """Return the paths that have no step beyond a node, None at the last position."""
    count = request.get("positions", 5)
    backward = request.get("end") is not None
    if node[0] == (1 - count if backward else count):
        return None
    beyond = node[0] + (-1 if backward else 1)
    return [one for one in through(paths, node) if beyond not in one.steps]


def edges(paths: Sequence[Path]) -> list[tuple[Edge, list[Path]]]:
    """Return all edges, those that most sessions go along first; ties by position, then names."""
    found = {
        (position, step[0], one.steps[position + 1][0])
        for one in paths
        for position, step in one.steps.items()
        if position + 1 in one.steps
    }
    ranked = [(edge, along(paths, edge)) for edge in found]
    return sorted(ranked, key=lambda one: (-len(one[1]), one[0][0], one[0][1].encode(), one[0][2].encode()))


def nodes(request: Mapping[str, Any], paths: Sequence[Path], shown: Sequence[Edge]) -> set[Node]:
    """Return the nodes that are shown with some edges: their ends, and the greatest where paths begin."""
    anchor = 0 if request.get("end") is not None else 1
    begins = {(anchor, one.steps[anchor][0]) for one in paths}
    greatest = sorted(begins, key=lambda node: (-len(through(paths, node)), node[1].encode()))
    ends = {(position, first) for position, first, _ in shown} | {(position + 1, last) for position, _, last in shown}
    return ends | set(greatest[: request.get("limit", 50)])


def seconds(paths: Sequence[Path], position: int) -> float:
    """Return the mean time from a position to the next."""
    return sum(one.steps[position + 1][1] - one.steps[position][1] for one in paths) / len(paths) / 1000
