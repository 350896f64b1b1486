"""Predicates over profiles, in plain Python: docs/predicates.md and docs/profiles.md, followed literally.

A profile is a dict of its columns; `traits` as the projector keeps them (`held`), which is nested JSON.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from tests.oracle import predicates as oracle

Profile = dict[str, Any]
_TWINS = {"neq": "eq", "not_in": "in", "not_contains": "contains", "not_exists": "exists"}


def held(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the traits that a profile has after they were sent and stored with the events."""
    written = oracle.compact(oracle.stored(_without_nul(sent)))
    found: dict[str, Any] = json.loads(written, parse_int=_number)
    return found


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return {_without_nul(name): _without_nul(item) for name, item in value.items()} if type(value) is dict else value


def _number(written: str) -> int | float:
    number = int(written)
    return number if -(2**63) <= number < 2**64 else float(number)


def flat(value: Any) -> Any:
    """Return a value with its objects as full dotted paths, which is how texts are made of them."""
    if isinstance(value, list):
        return [flat(item) for item in value]
    if not isinstance(value, dict):
        return value
    paths: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            paths |= {f"{name}.{inner}": found for inner, found in flat(item).items()}
        elif item is not None:
            paths[name] = flat(item)
    return paths


def reach(root: Any, path: str) -> list[Any]:
    """Return the values that a path names: one, or those of all elements."""
    values = [root]
    for name, levels in oracle.segments(path):
        values = [value.get(name) if isinstance(value, dict) else None for value in values]
        for _ in range(levels):
            values = [item for value in values if isinstance(value, list) for item in value]
    return values


def of_profile(profile: Profile, field: str) -> list[Any]:
    """Return the values of a field."""
    column, dot, path = field.partition(".")
    if column == "traits":
        return reach(profile["traits"], path) if dot else [profile["traits"]]
    if field == "anonymous_id":
        return list(profile["anonymous_ids"])
    if field.startswith("anonymous_ids"):
        return reach({"anonymous_ids": profile["anonymous_ids"]}, field)
    return [str(profile[field]) if field == "id" else profile[field]]


def holds(predicate: dict[str, Any], profile: Profile, *, as_of: datetime, timezone_name: str) -> bool:
    """Tell whether a predicate is true of a profile."""

    def ask(node: dict[str, Any], element: Any, inside: bool) -> bool:
        def values() -> list[Any]:
            found = reach(element, node["field"]) if inside else of_profile(profile, node["field"])
            return [value for value in map(flat, found) if not oracle.absent(value)]

        def items() -> list[Any]:
            found = reach(element, node["field"]) if inside else of_profile(profile, node["field"])
            return [item for value in found if isinstance(value, list) for item in value]

        match node["op"]:
            case "and":
                return all(ask(item, element, inside) for item in node["items"])
            case "or":
                return any(ask(item, element, inside) for item in node["items"])
            case "not":
                return not ask(node["item"], element, inside)
            case "neq" | "not_in" | "not_contains" | "not_exists":
                return not ask({**node, "op": _TWINS[node["op"]]}, element, inside)
            case "any" | "all":
                return (any if node["op"] == "any" else all)(ask(node["where"], item, True) for item in items())
            case "array_contains":
                found = [item for item in map(flat, items()) if not oracle.absent(item)]
                return any(oracle.passes({**node, "op": "eq"}, item, as_of, timezone_name) for item in found)
            case _:
                return any(oracle.passes(node, value, as_of, timezone_name) for value in values())

    return ask(predicate, None, False)


def has_words(profile: Profile, text: str, traits: tuple[str, ...]) -> bool:
    """Tell whether every word of a text is part of one of the traits."""
    found = [value for trait in traits for value in reach(profile["traits"], trait)]
    lines = [oracle.text(value).lower() for value in found if isinstance(value, str) or oracle.is_json_number(value)]
    return all(any(word.lower() in line for line in lines) for word in text.split())
