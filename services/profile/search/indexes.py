"""What an index can say of a predicate: a condition that all it holds of meet, found without reading the others.

Equality of a trait is containment (`traits @> {"plan": "pro"}`), exact for texts and booleans. A number may be stored
as a text, too: written as the number itself, or in an odd way (`profile.odd_numbers`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from contracts import predicates as tree
from contracts.base import encode
from contracts.predicates import Scalar
from services.kit.predicates.fields import Path
from services.kit.predicates.numbers import Number, number_of_text, whole_or_double
from services.profile.search.compiler import all_of, any_of
from services.profile.search.fields import trait_path
from services.profile.search.numbers import numeric, text_of
from services.profile.search.parameters import Parameters

_MOST: Final = 1_000
"""Values looked up one by one; of more, everything is read sooner."""


def condition(predicate: tree.Predicate, parameters: Parameters) -> str | None:
    """Return a condition that a predicate, which compiled, implies and that indexes answer; None when there is none."""
    match predicate:
        case tree.And():
            found = [condition(item, parameters) for item in predicate.items]
            usable = [one for one in found if one is not None]
            return all_of(usable) if usable else None
        case tree.Or():
            found = [condition(item, parameters) for item in predicate.items]
            usable = [one for one in found if one is not None]
            return any_of(usable) if usable and len(usable) == len(found) else None
        case tree.Eq() if not predicate.ignore_case:
            return _equal(predicate.field, (predicate.value,), parameters)
        case tree.In() if not predicate.ignore_case and 0 < len(predicate.value) <= _MOST:
            return _equal(predicate.field, predicate.value, parameters)
        case tree.ArrayContains() if not predicate.ignore_case and predicate.field.startswith("traits."):
            return _equal(f"{predicate.field}[]", (predicate.value,), parameters)
        case _:
            return None


def _equal(field: str, values: Sequence[Scalar], parameters: Parameters) -> str | None:
    if field in ("id", "user_id"):
        if not all(isinstance(value, str) for value in values):
            return None  # 5 is equal to the text 5.0, too
        texts = [value for value in values if isinstance(value, str) and "\0" not in value]
        if field == "id":
            return f"p.id = ANY ({parameters.bind([text for text in texts if _is_id(text)], 'uuid[]')})"
        hashes = ", ".join(f"hashtextextended({parameters.text(text)}, 0)" for text in texts)
        return f"(p.user_id IS NOT NULL AND hashtextextended(p.user_id, 0) = ANY (ARRAY[{hashes}]::bigint[]))"
    path = trait_path(field, "")
    if path is None or "\0" in field or (not path.names and not path.steps):
        return None
    plain: dict[str, None] = {}
    odd: dict[str, None] = {}
    for value in values:
        if isinstance(value, str) and value[:1] in ("[", "{"):
            return None  # the compact JSON of an array or object
        for text in _texts(value):
            plain[_document(path, encode(text).decode())] = None
        if isinstance(value, bool) or value in ("true", "false"):
            plain[_document(path, "true" if value in (True, "true") else "false")] = None
        number = _number(value)
        if number is not None and math.isfinite(number):
            plain[_document(path, numeric(number))] = None
            if not isinstance(value, str):
                odd[_document(path, numeric(number))] = None
    tests = [f"p.traits @> {parameters.bind(document, 'jsonb')}" for document in plain]
    tests += [f"profile.odd_numbers(p.traits) @> {parameters.bind(document, 'jsonb')}" for document in odd]
    return any_of(tests)


def _texts(value: Scalar) -> tuple[str, ...]:
    """Return the texts a value is equal to, but for the odd ways of writing a number."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str):
        return (value,) if value and "\0" not in value else ()
    number = whole_or_double(value)
    return (text_of(number),) if math.isfinite(number) else ()


def _number(value: Scalar) -> Number | None:
    if isinstance(value, bool):
        return None
    return number_of_text(value) if isinstance(value, str) else whole_or_double(value)


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
