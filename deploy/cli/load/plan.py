"""A mapping made ready to run: its expressions parsed, its columns checked against the file's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from contracts.common import TableName
from deploy.cli.load import values
from deploy.cli.load.aggregates import Grouping, Slot, split_aggregates
from deploy.cli.load.errors import MappingError, RowError
from deploy.cli.load.evaluate import check
from deploy.cli.load.expression import Column, Literal, Node, columns_of, parse
from deploy.cli.load.mapping import ColumnType, EventMapping, Fields, quoted
from deploy.cli.load.mapping import Mapping as MappingFile

NAME_COLUMN: Final[Mapping[TableName, str]] = {"track": "event", "page": "name", "group": "group_id"}
JSON_COLUMN: Final[Mapping[TableName, str]] = {
    "track": "properties",
    "page": "properties",
    "identify": "traits",
    "group": "traits",
}
Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class ObjectPlan:
    """How one JSON column is made: an expression for each path, and every column but `used` when `star`."""

    fields: Mapping[str, Node]
    star: bool
    used: frozenset[str]


@dataclass(frozen=True)
class EventPlan:
    """How one kind of event is made. `suffix` tells the events of one row apart in their message ids."""

    table: TableName
    suffix: str
    when: Node | None
    user_id: Node
    anonymous_id: Node
    timestamp: Node
    received_at: Node | None
    message_id: Node | None
    own_message_id: bool
    names: Mapping[str, Node]
    objects: Mapping[str, ObjectPlan]
    grouping: Grouping | None


@dataclass(frozen=True)
class Plan:
    """How rows become events; `converts` are the columns read as something else than what the file holds."""

    skip: Node | None
    events: tuple[EventPlan, ...]
    converts: Mapping[str, Convert]
    zone: ZoneInfo
    timestamp_format: str


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name, or raise MappingError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise MappingError(
            f"timezone: there is no time zone {name!r}; use an IANA name such as Europe/Berlin"
        ) from error


def compile_mapping(mapping: MappingFile, known: Sequence[str] | None) -> Plan:
    """Return the plan of a mapping over a file with the columns `known`; None: rows are objects of any shape.

    Raises:
        MappingError: names the entry and what is wrong with it.
    """
    zone = zone_of(mapping.timezone)
    reader = _Reader(known)
    for name in mapping.types:
        reader.know(f"types.{name}", [name])
    return Plan(
        skip=reader.optional("skip", mapping.skip),
        events=tuple(_event(reader, mapping, event, index) for index, event in enumerate(mapping.events)),
        converts={name: converter(kind, zone, mapping.timestamp_format) for name, kind in mapping.types.items()},
        zone=zone,
        timestamp_format=mapping.timestamp_format,
    )


class _Reader:
    """Parses expressions and checks that the columns they read exist."""

    def __init__(self, known: Sequence[str] | None) -> None:
        self.known = known

    def know(self, where: str, columns: Collection[str]) -> None:
        for name in columns:
            if self.known is not None and name not in self.known:
                raise MappingError(
                    f"{where}: the file has no column {name}; it has {', '.join(self.known)}\n"
                    f"  (a constant text takes single quotes: '{name}')"
                )

    def node(self, where: str, source: str) -> Node:
        try:
            node = parse(source)
        except MappingError as error:
            raise MappingError(f"{where}: {error}") from error
        self.know(where, list(columns_of(node)))
        return node

    def optional(self, where: str, source: str | None) -> Node | None:
        if source is None:
            return None
        node = self.node(where, source)
        _checked(where, node)
        return node


def _checked(where: str, node: Node) -> None:
    try:
        check(node)
    except MappingError as error:
        raise MappingError(f"{where}: {error}") from error


def _event(reader: _Reader, mapping: MappingFile, event: EventMapping, index: int) -> EventPlan:
    where = f"events[{index}]"
    nodes: dict[str, Node] = {}
    for name in ("user_id", "anonymous_id", "timestamp", "received_at", "message_id"):
        source = getattr(event, name)
        source = getattr(mapping, name) if source is None else source
        if source is not None:
            nodes[name] = reader.node(f"{where}.{name}", source)
    if "timestamp" not in nodes:
        raise MappingError(f"{where}: timestamp is missing: say which column holds the time")
    if "user_id" not in nodes and "anonymous_id" not in nodes:
        raise MappingError(f"{where}: user_id or anonymous_id is needed: say which column holds the person")
    wanted = NAME_COLUMN.get(event.table)
    for name in ("event", "name", "group_id"):
        source = getattr(event, name)
        if source is not None and name != wanted:
            raise MappingError(f"{where}.{name}: the table {event.table} has no {name}")
        if source is not None:
            nodes[name] = reader.node(f"{where}.{name}", source)
        elif name == wanted and name != "name":
            raise MappingError(f"{where}: {name} is missing: a column, or a constant text in single quotes")
    used = frozenset(column for node in nodes.values() for column in columns_of(node))
    objects: dict[str, ObjectPlan] = {}
    for name in ("properties", "traits", "context"):
        fields = getattr(event, name)
        fields = mapping.context if fields is None and name == "context" else fields
        if fields is None:
            continue
        if name not in (JSON_COLUMN[event.table], "context"):
            raise MappingError(f"{where}.{name}: the table {event.table} has {JSON_COLUMN[event.table]}")
        objects[name] = _object(reader, f"{where}.{name}", fields, used)
    when = reader.optional(f"{where}.when", event.when)
    if event.group_by is None:
        return _row_event(where, event, index, nodes, objects, when)
    return _group_event(reader, where, event, index, nodes, objects, when)


def _row_event(
    where: str,
    event: EventMapping,
    index: int,
    nodes: Mapping[str, Node],
    objects: Mapping[str, ObjectPlan],
    when: Node | None,
    grouping: Grouping | None = None,
) -> EventPlan:
    for name, node in nodes.items():
        _checked(f"{where}.{name}", node)
    for name, plan in objects.items():
        for path, node in plan.fields.items():
            _checked(f"{where}.{name}.{path}", node)
    names = (NAME_COLUMN[event.table],) if event.table in NAME_COLUMN else ()
    return EventPlan(
        table=event.table,
        suffix=f":{index + 1}" if index else "",
        when=when,
        user_id=nodes.get("user_id", Literal(None)),
        anonymous_id=nodes.get("anonymous_id", Literal(None)),
        timestamp=nodes["timestamp"],
        received_at=nodes.get("received_at"),
        message_id=nodes.get("message_id"),
        own_message_id=event.message_id is not None,
        names={name: nodes.get(name, Literal("")) for name in names},
        objects=objects,
        grouping=grouping,
    )


def _group_event(
    reader: _Reader,
    where: str,
    event: EventMapping,
    index: int,
    nodes: Mapping[str, Node],
    objects: Mapping[str, ObjectPlan],
    when: Node | None,
) -> EventPlan:
    """Split each expression into what is kept while rows pass (slots) and what is computed when the group is whole."""
    assert event.group_by is not None
    key = reader.node(f"{where}.group_by", event.group_by)
    _checked(f"{where}.group_by", key)
    if any(plan.star for plan in objects.values()):
        raise MappingError(f'{where}: "*" has no meaning for a group of rows; name the fields')
    slots: list[Slot] = []
    split = partial(split_aggregates, slots=slots)
    try:
        nodes = {name: split(node) for name, node in nodes.items()}
        objects = {
            name: ObjectPlan({path: split(node) for path, node in plan.fields.items()}, False, plan.used)
            for name, plan in objects.items()
        }
        for slot in slots:
            check(slot.argument)
    except MappingError as error:
        raise MappingError(f"{where}: {error}") from error
    return _row_event(where, event, index, nodes, objects, when, Grouping(key, tuple(slots)))


def _object(reader: _Reader, where: str, fields: Fields, used: frozenset[str]) -> ObjectPlan:
    if fields == "*":
        fields = {"*": True}
    elif isinstance(fields, str):
        fields = [part.strip() for part in fields.split(",") if part.strip()]
    if isinstance(fields, list):
        fields = {name: quoted(name) for name in fields}
    star = fields.get("*") is True
    nodes = {
        path: reader.node(f"{where}.{path}", source)
        for path, source in _paths(where, {name: value for name, value in fields.items() if name != "*"})
    }
    if star and reader.known is not None:
        for name in reader.known:
            if name not in used and name not in nodes:
                nodes[name] = Column(name)
    return ObjectPlan(nodes, star and reader.known is None, used)


def _paths(where: str, fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _paths(where, value, f"{path}.")
        elif isinstance(value, str):
            yield path, value
        else:
            raise MappingError(f"{where}.{path}: {value!r} is no expression: write it in double quotes")


def converter(kind: ColumnType, zone: ZoneInfo, pattern: str) -> Convert:
    """Return the function that reads a column as a type."""
    if kind == "time":
        return lambda value: None if value is None else values.iso(values.instant(value, zone, pattern))
    return {
        "string": values.text,
        "number": values.number,
        "boolean": values.boolean,
        "json": _json,
        "auto": automatic,
    }[kind]


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RowError(f"not JSON: {error}") from error


@lru_cache(maxsize=65_536)
def _automatic(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    found = values.number_of_text(text)
    if found is None or len(text) > 15:
        return text
    shown = values.plain(found)
    # Only a text that the number gives back exactly: "007", "1e3" and "+1" are ids and labels.
    return shown if str(shown) == text else text


def automatic(value: Any) -> Any:
    """Return the number or truth value that a text spells in its plain form, else the value itself."""
    return _automatic(value) if isinstance(value, str) else value
