"""Profiles as answers show them: JSON objects keyed by the columns asked for, or lines of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from contracts.base import encode
from contracts.errors import InvalidRequest, LimitExceeded
from services.kit.predicates.fields import Path
from services.kit.wide import safe_json
from services.profile.search.fields import trait_path

WHOLE: Final = ("id", "user_id", "anonymous_ids", "traits", "first_seen_at", "last_seen_at")
"""The columns of a whole profile."""
Row = Mapping[str, Any]
Shown = dict[str, Any]
"""The values of a row by column, as JSON knows them; times are datetimes, whole traits the text they are kept as."""


class Shape:
    """What is shown of a profile."""

    def __init__(self, columns: Sequence[str] | None, pointer: str = "/columns") -> None:
        """Prepare to show these columns, by default the whole profile.

        Raises:
            InvalidRequest: under `pointer`: no such column, or one named twice.
        """
        self.columns = tuple(columns or WHOLE)
        self._readers: list[tuple[str, Callable[[Row, Any], Any]]] = []
        for index, column in enumerate(self.columns):
            if column in self.columns[:index]:
                raise InvalidRequest.at(f"{pointer}/{index}", f"{column!r} is named twice: name each column once")
            self._readers.append((column, _reader(column, f"{pointer}/{index}")))
        self._reads_traits = any(column.startswith("traits.") for column in self.columns)

    def show(self, row: Row) -> Shown:
        """Return the columns of a row.

        Raises:
            LimitExceeded: its traits are nested too deep to be taken apart.
        """
        traits = _decoded(row["traits"]) if self._reads_traits else None
        return {column: read(row, traits) for column, read in self._readers}


def json_line(shown: Shown) -> bytes:
    """Return a row as JSON; integers that JavaScript cannot hold are strings."""
    return safe_json(encode(shown))


def csv_line(values: Sequence[str]) -> bytes:
    """Return a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def csv_values(shown: Shown) -> list[str]:
    """Return the text of each value; absent is empty."""
    return [_text(value) for value in shown.values()]


def _decoded(traits: str | bytes) -> Any:
    try:
        return msgspec.json.decode(traits)
    except RecursionError:
        raise LimitExceeded("some profile has traits nested too deep: ask for the column `traits`, whole") from None


def _text(value: Any) -> str:
    if isinstance(value, msgspec.Raw):
        value = _decoded(bytes(value))
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    written = encode(value).decode()
    return msgspec.json.decode(written, type=str) if written.startswith('"') else written  # a time, an id


def _reader(column: str, pointer: str) -> Callable[[Row, Any], Any]:
    if column == "traits":
        return lambda row, _: msgspec.Raw(row["traits"].encode())
    if column in WHOLE:
        return lambda row, _: row[column]
    path = None if column == "anonymous_id" or column.startswith("anonymous_ids") else trait_path(column, pointer)
    if path is None:
        raise InvalidRequest.at(pointer, f"there is no column {column!r}: name {', '.join(WHOLE)} or traits.…")
    return lambda _, traits: _at(traits, path)


def _at(traits: Any, path: Path) -> Any:
    """Return the value at a path, None when absent; of a path with [] the list of its values."""
    found = [traits]
    for step in path.steps:
        found = [_inside(one, step.names) for one in found]
        for _ in range(step.arrays):
            found = [element for one in found if isinstance(one, list) for element in one]
    values = [value for one in found if not _is_absent(value := _inside(one, path.names))]
    if path.steps:
        return values or None
    return values[0] if values else None


def _inside(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_absent(value: Any) -> bool:
    return value is None or value in ("", {}) if not isinstance(value, bool | int | float) else False
