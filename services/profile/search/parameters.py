"""Values bound to a statement: none ever becomes part of its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

Bindable: TypeAlias = str | int | datetime | UUID | Sequence[str]

_NUMBER: Final = re.compile(r"\$([0-9]+)")


class Parameters:
    """The values of one statement; equal ones share a number."""

    def __init__(self) -> None:
        self._values: list[Bindable] = []
        self._places: dict[tuple[str, Bindable], str] = {}

    def bind(self, value: Bindable, type_: str) -> str:
        """Return SQL of a value, of a PostgreSQL type (`text[]` for a sequence)."""
        kept = tuple(value) if type_.endswith("[]") and not isinstance(value, str | int | datetime | UUID) else value
        place = self._places.get((type_, kept))
        if place is None:
            self._values.append(list(kept) if isinstance(kept, tuple) else kept)
            place = self._places[type_, kept] = f"${len(self._values)}::{type_}"
        return place

    def text(self, value: str) -> str:
        """Return SQL of a text, which PostgreSQL can hold: it has no NUL."""
        return self.bind(value, "text")

    def texts(self, values: Sequence[str]) -> str:
        """Return SQL of an array of texts without NUL."""
        return self.bind(values, "text[]")

    def used(self, sql: str) -> tuple[str, list[Bindable]]:
        """Return a finished statement and its values: those that it names, numbered anew. A condition that is false
        whatever the value leaves numbers without use, and PostgreSQL takes none whose type it is not told."""
        numbers = list(dict.fromkeys(_NUMBER.findall(sql)))
        places = {number: f"${place}" for place, number in enumerate(numbers, 1)}
        renumbered = _NUMBER.sub(lambda found: places[found[1]], sql)
        return renumbered, [self._values[int(number) - 1] for number in numbers]
