"""What an index can say of a predicate: a condition that all it holds of meet, found without reading the others.

Equality of a trait is containment (`traits @> {"plan": "pro"}`), exact for texts and booleans. A number may be stored
as a text, too: written as the number itself, or in an odd way (`profile.odd_numbers`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts import predicates as tree
from contracts.base import encode
from contracts.predicates import Scalar
from services.kit.predicates.fields import Path
from services.kit.predicates.numbers import number_of_text, whole_or_double
from services.profile.search.compiler import all_of, any_of
from services.profile.search.fields import trait_path
from services.profile.search.numbers import numeric, text_of
from services.profile.search.parameters import Parameters

_MOST: Final = 1_000
"""Values looked up one by one; of more, everything is read sooner."""
_DEEPEST: Final = 20
"""Levels down to which profile.odd_numbers looks."""
_LIGHT: Final = 8
"""Values that are compared one by one sooner than the text of a trait is found and compared with all."""


@dataclass(frozen=True, slots=True)
class Usable:
    """A condition that indexes answer. `exact`: it holds of nothing else, so nothing more need be asked. `light`:
    asking it of a row costs less than asking the predicate."""

    sql: str
    exact: bool
    light: bool


def condition(predicate: tree.Predicate, parameters: Parameters) -> Usable | None:
    """Return a condition that a predicate, which compiled, implies and that indexes answer; None when there is none."""
    match predicate:
        case tree.And():
            return _joined(all_of, [condition(item, parameters) for item in predicate.items], every=False)
        case tree.Or():
            return _joined(any_of, [condition(item, parameters) for item in predicate.items], every=True)
        case tree.Eq() if not predicate.ignore_case:
            return _equal(predicate.field, (predicate.value,), parameters)
        case tree.In() if not predicate.ignore_case and 0 < len(predicate.value) <= _MOST:
            return _equal(predicate.field, predicate.value, parameters)
        case tree.ArrayContains() if not predicate.ignore_case and predicate.field.startswith("traits."):
            return _equal(f"{predicate.field}[]", (predicate.value,), parameters)
        case _:
            return None


def _joined(join: Callable[[Sequence[str]], str], parts: Sequence[Usable | None], *, every: bool) -> Usable | None:
    usable = [part for part in parts if part is not None]
    if not usable or (every and len(usable) < len(parts)):
        return None
    exact = len(usable) == len(parts) and all(part.exact for part in usable)
    return Usable(join([part.sql for part in usable]), exact, all(part.light for part in usable))


def _equal(field: str, values: Sequence[Scalar], parameters: Parameters) -> Usable | None:
    if field in ("id", "user_id"):
        if not all(isinstance(value, str) for value in values):
            return None  # 5 is equal to the text 5.0, too
        texts = [value for value in values if isinstance(value, str) and "\0" not in value]
        if field == "id":
            ids = parameters.bind([text for text in texts if _is_id(text)], "uuid[]")
            return Usable(f"p.id = ANY ({ids})", exact=True, light=True)
        hashes = ", ".join(f"hashtextextended({parameters.text(text)}, 0)" for text in texts)
        hashed = f"hashtextextended(p.user_id, 0) = ANY (ARRAY[{hashes}]::bigint[])"
        return Usable(f"(p.user_id IS NOT NULL AND {hashed})", exact=False, light=False)
    path = trait_path(field, "")
    if path is None or "\0" in field or (not path.names and not path.steps):
        return None
    plain: dict[str, None] = {}
    odd: dict[str, None] = {}
    for value in values:
        if isinstance(value, str) and value[:1] in ("[", "{"):
            return None  # the compact JSON of an array or object
        for scalar in _scalars(value):
            plain[_document(path, scalar)] = None
        if not isinstance(value, bool | str):
            number = whole_or_double(value)
            if not math.isfinite(number) or _levels(path) > _DEEPEST:
                return None
            odd[_document(path, numeric(number))] = None
    tests = [f"p.traits @> {parameters.bind(document, 'jsonb')}" for document in plain]
    tests += [f"profile.odd_numbers(p.traits) @> {parameters.bind(document, 'jsonb')}" for document in odd]
    return Usable(any_of(tests), exact=True, light=not odd and len(plain) <= _LIGHT)


def _levels(path: Path) -> int:
    return len(path.names) + sum(len(step.names) + step.arrays for step in path.steps)


def _scalars(value: Scalar) -> list[str]:
    """Return the JSON texts of the scalars a value is equal to, but for the odd ways of writing a number."""
    if isinstance(value, bool):
        return ["true", '"true"'] if value else ["false", '"false"']
    if not isinstance(value, str):
        number = whole_or_double(value)
        return [numeric(number), encode(text_of(number)).decode()] if math.isfinite(number) else []
    if not value or "\0" in value:
        return []
    found = [encode(value).decode()]
    if value in ("true", "false"):
        found.append(value)
    named = number_of_text(value)
    if named is not None and math.isfinite(named):
        found.append(numeric(named))
    return found


def _document(path: Path, scalar: str) -> str:
    """Return the JSON object that contains nothing but a value, of this JSON text, at a path."""
    written = _nested(scalar, path.names)
    for step in reversed(path.steps):
        written = _nested(f"{'[' * step.arrays}{written}{']' * step.arrays}", step.names)
    return written


def _nested(written: str, names: Sequence[str]) -> str:
    for name in reversed(names):
        written = f"{{{encode(name).decode()}:{written}}}"
    return written


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
