"""Field names parsed: a column, a path inside it, and the arrays on the way. Grammar: docs/predicates.md."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from contracts.common import TableName
from contracts.errors import InvalidRequest
from services.kit.predicates.columns import COLUMNS, PROFILE

_MARKERS: Final = re.compile(r"(?P<name>.*?)(?P<escaped>\\\[\])?(?P<arrays>(?:\[\])*)", re.DOTALL)
_LATER: Final = ("computed.", "segment.")


@dataclass(frozen=True, slots=True)
class Step:
    """Names that lead into an object, then `arrays` levels of array to enter."""

    names: tuple[str, ...]
    arrays: int


@dataclass(frozen=True, slots=True)
class Path:
    """`steps` each end in arrays to enter; `names` lead from the last element (or the root) to the value."""

    steps: tuple[Step, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A column and, for those that hold objects, the path inside; None for the whole column."""

    column: str
    path: Path | None


def parse_path(text: str) -> Path:
    """Return the path a text names; every text names one."""
    steps: list[Step] = []
    names: list[str] = []
    for segment in text.split("."):
        parts = _MARKERS.fullmatch(segment)
        assert parts is not None, "the pattern matches every segment"
        names.append(parts["name"] + ("[]" if parts["escaped"] else ""))
        if parts["arrays"]:
            steps.append(Step(tuple(names), len(parts["arrays"]) // 2))
            names = []
    return Path(tuple(steps), tuple(names))


def parse_field(field: str, pointer: str) -> Reference:
    """Return what a field of a row refers to.

    Raises:
        InvalidRequest: at `pointer`: no such field, or one of a service that is not installed.
    """
    if field == "segment" or field.startswith(_LATER):
        raise InvalidRequest.at(pointer, f"{field!r} belongs to a service that is not part of this installation yet")
    if field.startswith(f"{PROFILE}."):
        return Reference(PROFILE, parse_path(field.removeprefix(f"{PROFILE}.")))
    root, dot, path = field.partition(".")
    column = COLUMNS.get(root)
    if column is None or (dot and column.kind != "object"):
        raise InvalidRequest.at(
            pointer,
            f"there is no field {field!r}: name a column, properties.…, traits.…, context.… or profile.traits.…",
        )
    return Reference(root, parse_path(path) if dot else None)


def check_field(field: str, tables: Collection[TableName], pointer: str) -> Reference:
    """Return what a field refers to when at least one of the tables has it.

    Raises:
        InvalidRequest: at `pointer`: no such field, or none of the tables has it.
    """
    reference = parse_field(field, pointer)
    having = COLUMNS[reference.column].tables
    if not set(having) & set(tables):
        raise InvalidRequest.at(pointer, f"{field!r} is a field of {' and '.join(having)} events only")
    return reference
