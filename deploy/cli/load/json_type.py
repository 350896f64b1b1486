"""What a table's JSON column is declared as, as far as writing it by path needs to know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

_ITEM: Final = re.compile(
    r"max_dynamic_(?P<limit>paths|types)\s*=\s*(?P<number>\d+)"
    r"|(?:`(?P<quoted>[^`\\]+)`|(?P<bare>[\w.]+)) (?P<type>String|Nullable\(String\))"
)


@dataclass(frozen=True, eq=False)
class JsonType:
    """`typed` are the paths with a declared type, all of them texts: whether each is Nullable, by path."""

    paths: int
    types: int
    typed: Mapping[str, bool]

    @cached_property
    def element(self) -> JsonType:
        """The type of objects inside arrays, as the engine derives it."""
        return JsonType(self.paths // 4, self.types // 2, {})

    @cached_property
    def element_name(self) -> str:
        """The name of that type."""
        inner = self.element
        return f"JSON(max_dynamic_types={inner.types}, max_dynamic_paths={inner.paths})"


@lru_cache(maxsize=64)
def parse_json_type(name: str) -> JsonType | None:
    """Return what `JSON(…)` declares; None when it declares more than is written by path here (SKIP, other types)."""
    limits = {"paths": 1024, "types": 32}
    typed: dict[str, bool] = {}
    match = re.fullmatch(r"JSON(?:\((.*)\))?", name, re.S)
    if match is None:
        return None
    for item in re.split(r",\s*", match[1] or "")[: None if match[1] else 0]:
        found = _ITEM.fullmatch(item)
        if found is None:
            return None
        if found["limit"]:
            limits[found["limit"]] = int(found["number"])
        else:
            typed[found["quoted"] or found["bare"]] = found["type"] != "String"
    return JsonType(limits["paths"], limits["types"], typed)
