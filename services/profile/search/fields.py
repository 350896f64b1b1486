"""Fields of profiles, and SQL of their values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from contracts.errors import InvalidRequest
from services.kit.predicates.fields import Path, parse_path
from services.profile.search.parameters import Parameters

TIMES: Final = ("first_seen_at", "last_seen_at")
_TEXTS: Final = {"id": "to_jsonb(p.id::text)", "user_id": "to_jsonb(p.user_id)"}
_IDS: Final = re.compile(r"anonymous_ids(?:\[\])*")
_LATER: Final = ("computed.", "segment.")
_WHOLE: Final = Path((), ())


@dataclass(frozen=True, slots=True)
class Value:
    """SQL of jsonb, NULL when there is nothing; `moment`: SQL of the instant, of columns that are times."""

    json: str
    moment: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The value of a field. With `sources` (the FROM of a subquery) there are several: one for each of its rows."""

    value: Value
    sources: tuple[str, ...] = ()
    depth: int = 0
    """Elements' names taken so far: an inner one never hides an outer one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where fields are looked up: in a profile `p`, or, with `element` (SQL of jsonb), inside an array's element."""

    parameters: Parameters
    element: str | None = None
    depth: int = 0


def locate(place: Place, field: str, pointer: str) -> Found:
    """Return SQL of a field's value, or values.

    Raises:
        InvalidRequest: at `pointer`: no such field.
    """
    if place.element is not None:
        return _follow(place, place.element, parse_path(field))
    if field in TIMES:
        column = f"p.{field}"
        written = f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
        return Found(Value(f"to_jsonb({written})", column), depth=place.depth)
    if field in _TEXTS:
        return Found(Value(_TEXTS[field]), depth=place.depth)
    root, path = _parsed(field, pointer)
    return _follow(place, root, path)


def elements(place: Place, field: str, pointer: str) -> Found:
    """Return SQL of the elements of the array, or arrays, that a field names.

    Raises:
        InvalidRequest: at `pointer`: no such field.
    """
    found = locate(place, field, pointer)
    alias = f"e{found.depth}"
    source = f"profile.elements({found.value.json}) AS {alias}"
    return Found(Value(alias), (*found.sources, source), found.depth + 1)


def trait_path(field: str, pointer: str) -> Path | None:
    """Return the path of a field of the traits, None for any other field.

    Raises:
        InvalidRequest: at `pointer`: no such field.
    """
    if field in TIMES or field in _TEXTS:
        return None
    root, path = _parsed(field, pointer)
    return path if root == "p.traits" else None


def value_at(parameters: Parameters, root: str, names: tuple[str, ...]) -> str:
    """Return SQL of the jsonb at a path of names inside a jsonb."""
    if any("\0" in name for name in names):
        return "NULL::jsonb"  # no name here has a NUL
    if not names:
        return root
    if len(names) == 1:
        return f"({root} -> {parameters.text(names[0])})"
    return f"profile.at({root}, {parameters.texts(names)})"


def _parsed(field: str, pointer: str) -> tuple[str, Path]:
    if field == "traits":
        return "p.traits", _WHOLE
    if field.startswith("traits."):
        return "p.traits", parse_path(field.removeprefix("traits."))
    if field == "anonymous_id":
        field = "anonymous_ids[]"
    if _IDS.fullmatch(field):
        path = parse_path(field)
        # The name is that of the column, which is entered already.
        steps = tuple(type(step)((), step.arrays) for step in path.steps)
        return "to_jsonb(p.anonymous_ids)", Path(steps, ())
    if field == "segment" or field.startswith(_LATER):
        raise InvalidRequest.at(pointer, f"{field!r} belongs to a service that is not part of this installation yet")
    raise InvalidRequest.at(
        pointer,
        f"there is no field {field!r}: name traits.…, id, user_id, anonymous_id, anonymous_ids, first_seen_at or "
        "last_seen_at",
    )


def _follow(place: Place, root: str, path: Path) -> Found:
    at, depth = root, place.depth
    sources: list[str] = []
    for step in path.steps:
        at = value_at(place.parameters, at, step.names)
        for _ in range(step.arrays):
            sources.append(f"profile.elements({at}) AS e{depth}")
            at, depth = f"e{depth}", depth + 1
    return Found(Value(value_at(place.parameters, at, path.names)), tuple(sources), depth)
