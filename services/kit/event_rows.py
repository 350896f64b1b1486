"""Rows of the event tables as answers show them: their columns, their names, and each row as one JSON object."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.common import TableName
from contracts.errors import InvalidRequest
from services.kit import sql

NAME_COLUMN: dict[TableName, str] = {"track": "event", "page": "name"}
"""The tables whose events have names, and the column that holds them."""

_DEFAULT_COLUMNS: tuple[tuple[str, tuple[TableName, ...]], ...] = (
    ("table", ("track", "identify", "page", "group")),
    ("event", ("track",)),
    ("name", ("page",)),
    ("timestamp", ("track", "identify", "page", "group")),
    ("received_at", ("track", "identify", "page", "group")),
    ("message_id", ("track", "identify", "page", "group")),
    ("actor", ("track", "identify", "page", "group")),
    ("user_id", ("track", "identify", "page", "group")),
    ("anonymous_id", ("track", "identify", "page", "group")),
    ("group_id", ("group",)),
    ("properties", ("track", "page")),
    ("traits", ("identify", "group")),
    ("context", ("track", "identify", "page", "group")),
)


def default_columns(tables: Sequence[TableName]) -> tuple[str, ...]:
    """Return every column that one of the tables has, as a row shows them when no columns were asked for."""
    return tuple(name for name, having in _DEFAULT_COLUMNS if set(having) & set(tables))


def check_names(names: Sequence[str], tables: Sequence[TableName], pointer: str = "/names") -> None:
    """Refuse names where no table has any.

    Raises:
        InvalidRequest: at `pointer`.
    """
    if names and not set(tables) & NAME_COLUMN.keys():
        raise InvalidRequest.at(pointer, "only track and page events have names")


def json_object(names: Sequence[str], values: Sequence[str]) -> str:
    """Return SQL for a JSON object's text from the SQL of each value's JSON text; keys are written once, here."""
    parts = []
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        key = msgspec.json.encode(name).decode()
        parts.append(f"{sql.string(('{' if index == 0 else ',') + key + ':')}, {value}")
    return f"concat({', '.join(parts)}, '}}')"


def maybe_wide(values: Sequence[str]) -> str:
    """Return SQL that is 1 when a row's JSON holds a run of 16 digits, so maybe an integer beyond 2^53."""
    return " OR ".join(f"match({value}, '[0-9]{{16}}')" for value in values) or "0"
