"""Which fields a sample of events has: a walk over their JSON, by the rules that predicates follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from contracts.common import TableName
from contracts.events import FieldEntry

TIME_COLUMNS = frozenset({"timestamp", "received_at"})
MAX_DEPTH = 16
"""Objects nested deeper are shown as an object."""


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "string"


def _escaped(key: str) -> str:
    """Return a name some of whose segments may end like the mark of an array, as paths spell it."""
    return ".".join(f"{segment[:-2]}\\[]" if segment.endswith("[]") else segment for segment in key.split("."))


def _walk(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Yield (path, type) of a value and what is inside it; `""`, null and `{}` are absent."""
    if value is None or value == "" or value == {}:
        return
    if not isinstance(value, dict) or depth >= MAX_DEPTH:
        yield path, _type_of(value)
    if isinstance(value, dict) and depth < MAX_DEPTH:
        for key, inner in value.items():
            name = _escaped(key) if "[]" in key else key
            yield from _walk(f"{path}.{name}" if path else name, inner, depth + 1)
    elif isinstance(value, list) and depth < MAX_DEPTH:
        for element in value:
            if isinstance(element, dict):
                yield from _walk(f"{path}[]", element, depth + 1)


def describe(rows: list[bytes], prefix: str) -> list[FieldEntry]:
    """Return the fields of event rows (JSON objects with `table`), widest coverage first, ties by name."""
    seen: dict[str, int] = defaultdict(int)
    types: dict[str, set[str]] = defaultdict(set)
    tables: dict[str, set[TableName]] = defaultdict(set)
    for text in rows:
        row = msgspec.json.decode(text)
        table = row["table"]
        row.pop("actor", None)
        found: dict[str, set[str]] = defaultdict(set)
        for path, kind in _walk("", row, 0):
            if path.startswith(prefix):
                found[path].add("time" if path in TIME_COLUMNS else kind)
        for path, kinds in found.items():
            seen[path] += 1
            types[path] |= kinds
            tables[path].add(table)
    return [
        FieldEntry(
            field=path, tables=tuple(sorted(tables[path])), types=tuple(sorted(types[path])), coverage=count / len(rows)
        )
        for path, count in sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    ]
