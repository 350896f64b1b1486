"""An example for a schema that has none: the smallest honest value, from its own examples, defaults and limits."""

from __future__ import annotations

from typing import Any

_FORMATS = {
    "date-time": "2026-01-31T09:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date": "2026-01-31",
}
_DEPTH = 6
"""Predicates hold predicates: beyond this an array is left empty."""


def example(schema: dict[str, Any], components: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that is valid under the schema; `components` resolves its references."""
    if "$ref" in schema:
        return example(components[schema["$ref"].rsplit("/", 1)[1]], components, depth)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], components, depth + 1)
    match schema.get("type"):
        case "object":
            return _object(schema, components, depth)
        case "array":
            return _array(schema, components, depth)
        case "string":
            return _FORMATS.get(schema.get("format", ""), "text".ljust(schema.get("minLength", 0), "."))
        case "integer" | "number":
            return schema.get("default", schema.get("minimum", 1))
        case "boolean":
            return schema.get("default", False)
        case _:
            return None


def _object(schema: dict[str, Any], components: dict[str, Any], depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    return {
        name: member.get("default", None)
        if "default" in member and name not in required
        else example(member, components, depth + 1)
        for name, member in schema.get("properties", {}).items()
        if name in required or "default" in member
    }


def _array(schema: dict[str, Any], components: dict[str, Any], depth: int) -> list[Any]:
    if "prefixItems" in schema:
        return [example(item, components, depth + 1) for item in schema["prefixItems"]]
    items = schema.get("items")
    if not isinstance(items, dict) or depth > _DEPTH:
        return []
    return [example(items, components, depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]
