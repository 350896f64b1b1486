"""The mapping file: how rows become events. docs/loading.md explains it with examples."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from contracts.common import TableName
from deploy.cli.load.errors import MappingError

Format: TypeAlias = Literal["csv", "ndjson", "parquet", "segment"]
ColumnType: TypeAlias = Literal["string", "number", "boolean", "time", "json", "auto"]
Fields: TypeAlias = str | list[str] | dict[str, Any]
"""`"*"` (every column not used elsewhere), a list of columns, or a table of name = expression; tables nest."""


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each event needs; given once for all events or for one. Expressions, but for the tables of fields."""

    user_id: str | None = None
    anonymous_id: str | None = None
    timestamp: str | None = None
    received_at: str | None = None
    message_id: str | None = None
    context: Fields | None = None


class EventMapping(Defaults, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of event that rows, or groups of rows, become."""

    table: TableName
    when: str | None = None
    group_by: str | None = None
    event: str | None = None
    name: str | None = None
    group_id: str | None = None
    properties: Fields | None = None
    traits: Fields | None = None


class Mapping(Defaults, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole mapping. `timezone` is that of times without an offset."""

    format: Format | None = None
    timezone: str = "UTC"
    timestamp_format: str = ""
    delimiter: str = ""
    columns: tuple[str, ...] = ()
    types: dict[str, ColumnType] = {}
    skip: str | None = None
    events: tuple[EventMapping, ...] = ()


SEGMENT = Mapping(format="segment")
_BUNDLED = files("deploy.cli.load") / "mappings"


def bundled() -> list[str]:
    """Return the names of the mappings that come with the project."""
    return sorted(entry.name.removesuffix(".toml") for entry in _BUNDLED.iterdir() if entry.name.endswith(".toml"))


def read_mapping(name: str) -> Mapping:
    """Return the mapping of a `.toml` or `.json` file, or of a bundled one by its bare name.

    Raises:
        MappingError: no such file, or its content is no mapping; names the entry.
    """
    path = Path(name)
    if path.is_file():
        data = path.read_bytes()
    elif name in bundled():
        data = (_BUNDLED / f"{name}.toml").read_bytes()
    else:
        raise MappingError(f"there is no mapping {name}: give a .toml or .json file, or one of {', '.join(bundled())}")
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        mapping = decode(data, type=Mapping)
    except msgspec.ValidationError as error:
        raise MappingError(f"{name}: {error}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise MappingError(f"{name} cannot be read: {error}") from error
    if not mapping.events and mapping.format != "segment":
        raise MappingError(f"{name}: no [[events]]: say at least one table that rows become events of")
    return mapping


def quoted(column: str) -> str:
    """Return the expression that reads a column of any name."""
    return f"`{column}`"


def constant(text: str) -> str:
    """Return the expression of a constant text."""
    return "'" + text.replace("'", "''") + "'"
