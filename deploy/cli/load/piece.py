"""Events of one table, as columns, ready to be encoded; kept until the engine has taken them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.common import TableName
from deploy.cli.load import native
from deploy.cli.load.chunk import Reject
from deploy.cli.load.coded import distinct_of
from deploy.cli.load.flatten import NotFlat, flatten_texts, flatten_values
from deploy.cli.load.json_type import parse_json_type
from deploy.cli.load.memo import each, kinds_of
from deploy.cli.load.native import Column
from deploy.cli.load.values import plain

JsonTexts = Sequence[bytes]
JsonPaths = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Piece:
    """`times` and `received` are milliseconds since 1970; `names` holds event, name or group_id; `objects` the JSON
    columns, as texts or by path; `nulls` the paths sent as null (identify and group)."""

    table: TableName
    rows: Sequence[int]
    lines: Sequence[int]
    sources: Sequence[object]
    message_ids: Sequence[str]
    user_ids: Sequence[str]
    anonymous_ids: Sequence[str]
    times: Sequence[int]
    received: Sequence[int]
    names: Mapping[str, Sequence[str]]
    objects: Mapping[str, JsonTexts | JsonPaths]
    nulls: Sequence[Sequence[str]] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that this piece fills; the others take their defaults."""
        ids = ("workspace_id", "message_id", "user_id", "anonymous_id", "timestamp", "received_at")
        return (*ids, *self.names, *self.objects, *(("traits_null",) if self.nulls is not None else ()))

    def slice(self, start: int, stop: int) -> Piece:
        """Return the events from `start` to before `stop`."""

        def cut(values: Any) -> Any:
            if isinstance(values, Mapping):
                return {name: cut(inner) for name, inner in values.items()}
            return None if values is None else values[start:stop]

        return replace(
            self, **{name: cut(getattr(self, name)) for name in self.__dataclass_fields__ if name != "table"}
        )

    def reject(self, index: int, reason: str) -> Reject:
        """Return one event as rejected."""
        return Reject(line=self.lines[index], row=self.rows[index], reason=reason, source=self.sources[index])

    def encode(self, workspace: bytes, types: Mapping[str, str]) -> bytes:
        """Return the piece as one Native block. `types` are those of the table's columns."""
        size = len(self)
        columns = [
            Column("workspace_id", "UUID", native.uuids([workspace]) * size),
            Column("message_id", "String", native.texts(self.message_ids)),
            Column("user_id", "String", native.texts(self.user_ids)),
            Column("anonymous_id", "String", native.texts(self.anonymous_ids)),
            Column("timestamp", "DateTime64(3, 'UTC')", native.integers(self.times)),
            Column("received_at", "DateTime64(3, 'UTC')", native.integers(self.received)),
        ]
        columns += (Column(name, "String", native.texts(values)) for name, values in self.names.items())
        columns += (
            Column(name, types[name], encode_json(values, types[name], size)) for name, values in self.objects.items()
        )
        if self.nulls is not None:
            columns.append(Column("traits_null", "Array(String)", native.text_arrays(self.nulls)))
        return native.block(columns, size)


def encode_json(values: JsonTexts | JsonPaths, type_: str, size: int) -> bytes:
    """Return a JSON column by path if the engine would make the same of its text, else as text."""
    declared = parse_json_type(type_)
    if declared is not None:
        try:
            paths = flatten_values(values, declared) if isinstance(values, Mapping) else flatten_texts(values, declared)
            return native.json_paths(paths, size, declared)
        except NotFlat:
            pass
    return native.json_texts(json_of_paths(values, size) if isinstance(values, Mapping) else values)


def json_of_paths(paths: JsonPaths, size: int) -> list[bytes]:
    """Return the JSON text of every row; a dotted key and a nested object are the same path to the JSON type."""
    names = tuple(paths)
    rows = zip(*paths.values(), strict=True) if paths else (() for _ in range(size))
    return [
        native.json_bytes({name: value for name, value in zip(names, row, strict=True) if value is not None})
        for row in rows
    ]


def plain_values(values: Sequence[Any]) -> Sequence[Any]:
    """Return computed values in their JSON form; the common kinds pass untouched."""
    kinds = kinds_of(values)
    if kinds <= {str} or kinds <= {bool}:
        return values
    if kinds == {int} and len(values) and None not in values and _in_64_bits(values):
        return values
    return each(plain, values)


def _in_64_bits(values: Sequence[int]) -> bool:
    distinct: Sequence[int] = distinct_of(values)
    return -(2**63) <= min(distinct) <= max(distinct) < 2**64
