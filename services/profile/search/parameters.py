"""Values bound to a statement: none ever becomes part of its text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

Bindable: TypeAlias = str | int | datetime | UUID | Sequence[str]


class Parameters:
    """The values of one statement, in the order of their numbers; equal ones share one."""

    def __init__(self) -> None:
        self.values: list[Bindable] = []
        self._places: dict[tuple[str, Bindable], str] = {}

    def bind(self, value: Bindable, type_: str) -> str:
        """Return SQL of a value, of a PostgreSQL type (`text[]` for a sequence)."""
        kept = tuple(value) if type_.endswith("[]") and not isinstance(value, str | int | datetime | UUID) else value
        place = self._places.get((type_, kept))
        if place is None:
            self.values.append(list(kept) if isinstance(kept, tuple) else kept)
            place = self._places[type_, kept] = f"${len(self.values)}::{type_}"
        return place

    def text(self, value: str) -> str:
        """Return SQL of a text, which PostgreSQL can hold: it has no NUL."""
        return self.bind(value, "text")

    def texts(self, values: Sequence[str]) -> str:
        """Return SQL of an array of texts without NUL."""
        return self.bind(values, "text[]")
