"""The short options of `cdp load` as a mapping of one event, or on top of a mapping file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, get_args

import msgspec

from contracts.common import TableName
from deploy.cli.load.errors import MappingError
from deploy.cli.load.mapping import ColumnType, EventMapping, Format, Mapping, constant, quoted


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was given on the command line; None or empty: not given."""

    table: TableName | None = None
    event: str | None = None
    event_column: str | None = None
    user_column: str | None = None
    anonymous_column: str | None = None
    group_column: str | None = None
    timestamp_column: str | None = None
    received_at_column: str | None = None
    message_id_column: str | None = None
    properties: str | None = None
    traits: str | None = None
    context: str | None = None
    types: Sequence[str] = ()
    format: Format | None = None
    timezone: str | None = None
    timestamp_format: str | None = None
    delimiter: str | None = None


def apply(options: Options, mapping: Mapping | None) -> Mapping | None:
    """Return the mapping that options and file give together; None when neither says anything.

    Raises:
        MappingError: options that contradict the file or each other.
    """
    changes: dict[str, Any] = {
        name: value
        for name in ("format", "timezone", "timestamp_format", "delimiter")
        if (value := getattr(options, name)) is not None
    }
    for name, column in (
        ("user_id", options.user_column),
        ("anonymous_id", options.anonymous_column),
        ("timestamp", options.timestamp_column),
        ("received_at", options.received_at_column),
        ("message_id", options.message_id_column),
    ):
        if column is not None:
            changes[name] = quoted(column)
    base = mapping or Mapping()
    if options.types:
        changes["types"] = base.types | dict(map(_column_type, options.types))
    if options.table is not None:
        if base.events:
            raise MappingError("--table makes a mapping of its own: give it or --map, not both")
        changes["events"] = (_event(options, options.table),)
    elif stray := _stray(options):
        raise MappingError(f"{', '.join(stray)} need --table")
    if mapping is None and not changes:
        return None
    return msgspec.structs.replace(base, **changes)


def _event(options: Options, table: TableName) -> EventMapping:
    name: dict[str, str] = {}
    if options.event is not None and options.event_column is not None:
        raise MappingError("--event is one name for all rows, --event-column the column of names: give one")
    found = constant(options.event) if options.event is not None else None
    if options.event_column is not None:
        found = quoted(options.event_column)
    if found is not None:
        if table not in ("track", "page"):
            raise MappingError(f"--event and --event-column do not suit --table {table}")
        name["event" if table == "track" else "name"] = found
    if options.group_column is not None:
        name["group_id"] = quoted(options.group_column)
    return EventMapping(
        table=table, properties=options.properties, traits=options.traits, context=options.context, **name
    )


def _stray(options: Options) -> list[str]:
    names = ("event", "event_column", "group_column", "properties", "traits", "context")
    return [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]


def _column_type(given: str) -> tuple[str, ColumnType]:
    column, equals, kind = given.rpartition("=")
    kinds = get_args(ColumnType)
    if not equals or kind not in kinds:
        raise MappingError(f"--type {given}: write COLUMN=TYPE with a type of {', '.join(kinds)}")
    return column, cast("ColumnType", kind)
