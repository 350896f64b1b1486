"""ClickHouse's Native format, written column by column: the cheapest INSERT for the engine, which then parses nothing.

The layout is that of the format's specification (clickhouse.com/docs/reference/interfaces/specs/NativeFormat): a block
is the number of columns, the number of rows, then each column as name, type, data. JSON columns have two wire forms
here: text (version 1, the engine parses each value) and flattened (version 3, since ClickHouse 25.6: a column a path).
The same order lines took the engine 16 µs a row as JSONCompactEachRow and 6 µs flattened.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from deploy.cli.load.coded import Coded, distinct_of
from deploy.cli.load.flatten import flatten, type_names
from deploy.cli.load.json_type import JsonType

_JSON_AS_TEXT: Final = struct.pack("<Q", 1)
_FLATTENED: Final = struct.pack("<Q", 3)


class Column(NamedTuple):
    """One encoded column: the bytes are the data with its type's prefix."""

    name: str
    type: str
    data: bytes


def varint(number: int) -> bytes:
    """Return an unsigned LEB128 number."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_LENGTHS: Final = [varint(length) for length in range(4096)]


def _sized(data: bytes) -> bytes:
    length = len(data)
    return (_LENGTHS[length] if length < 4096 else varint(length)) + data


def texts(values: Sequence[str]) -> bytes:
    """Encode String data from texts; each distinct one once, for ids, names and labels repeat a lot within a block."""
    if isinstance(values, Coded):
        coded = [_sized(text.encode()) for text in values.distinct]
        return b"".join(map(coded.__getitem__, values.codes))
    distinct = set(values)
    if len(distinct) > len(values) // 2:
        return blobs([text.encode() for text in values])
    encoded = {text: _sized(text.encode()) for text in distinct}
    return b"".join(map(encoded.__getitem__, values))


def blobs(values: Sequence[bytes]) -> bytes:
    """Encode String data from bytes that are UTF-8 already."""
    try:
        lengths = map(_LENGTHS.__getitem__, map(len, values))
        return b"".join(chain.from_iterable(zip(lengths, values, strict=True)))
    except IndexError:
        return b"".join(map(_sized, values))


def text_arrays(values: Sequence[Sequence[str]]) -> bytes:
    """Encode Array(String) data: running ends as UInt64, then all elements."""
    return array("Q", accumulate(map(len, values))).tobytes() + texts(list(chain.from_iterable(values)))


def integers(values: Iterable[int]) -> bytes:
    """Encode Int64 data, which is also that of DateTime64."""
    return array("q", values).tobytes()


def uuids(values: Iterable[bytes]) -> bytes:
    """Encode UUID data from the 16 bytes of each: two little-endian halves, the high one first."""
    return b"".join(value[7::-1] + value[15:7:-1] for value in values)


def json_texts(values: Sequence[bytes]) -> bytes:
    """Encode a JSON column from JSON texts; the engine parses each."""
    return _JSON_AS_TEXT + blobs(values)


def json_paths(paths: Mapping[str, Sequence[Any]], rows: int, declared: JsonType) -> bytes:
    """Encode a JSON column from its paths (dots join the levels), None where a row has no value.

    The types are those the engine infers from JSON text; see flatten.py, which also makes `paths` of JSON text.

    Raises:
        NotFlat: a value has no such type.
    """
    prefix, data = _object(paths, rows, declared)
    return prefix + data


def _object(paths: Mapping[str, Sequence[Any]], rows: int, declared: JsonType) -> tuple[bytes, bytes]:
    """Return prefix and data of a JSON column: the declared paths first, then the others as Dynamic, both sorted."""
    typed = [
        _nullable_texts(paths.get(path) or [None] * rows, nullable)
        for path, nullable in sorted(declared.typed.items(), key=_bytewise)
    ]
    dynamic = [
        (path, *_dynamic(values, declared))
        for path, values in sorted(paths.items(), key=_bytewise)
        if path not in declared.typed
    ]
    names = b"".join(_sized(path.encode()) for path, _, _ in dynamic)
    prefix = b"".join((_FLATTENED, varint(len(dynamic)), names, *map(itemgetter(1), dynamic)))
    return prefix, b"".join((*typed, *map(itemgetter(2), dynamic)))


def _bytewise(item: tuple[str, Any]) -> bytes:
    return item[0].encode()


def _nullable_texts(values: Sequence[str | None], nullable: bool) -> bytes:
    data = texts([value or "" for value in values])
    return bytes([value is None for value in values]) + data if nullable else data


def _dynamic(values: Sequence[Any], declared: JsonType) -> tuple[bytes, bytes]:
    """Return prefix and data of a Dynamic column: which type each row has, then the values of each type."""
    present = values if None not in values else [value for value in values if value is not None]
    of_present = type_names(present, declared)
    names = sorted(set(distinct_of(of_present)))
    if len(names) <= 1:
        written = [_write(names[0], present, declared)] if names else []
        gaps = len(present) < len(values) and names
        marks = bytes([value is None for value in values]) if gaps else bytes(len(values))
    else:
        index = {name: position for position, name in enumerate(names)}
        rest = iter(of_present)
        marks = bytes([len(names) if value is None else index[next(rest)] for value in values])
        written = [
            _write(name, [value for value, mark in zip(values, marks, strict=True) if mark == position], declared)
            for name, position in index.items()
        ]
    prefix = b"".join((_FLATTENED, varint(len(names)), *(_sized(name.encode()) for name in names)))
    return prefix + b"".join(map(itemgetter(0), written)), marks + b"".join(map(itemgetter(1), written))


def _write(name: str, values: Sequence[Any], declared: JsonType) -> tuple[bytes, bytes]:
    """Return prefix and data of the values of one type."""
    if not name.startswith("Array("):
        return b"", _WRITERS[name](values)
    elements = list(chain.from_iterable(values))
    ends = array("Q", accumulate(map(len, values))).tobytes()
    inner = name.removeprefix("Array(").removesuffix(")")
    if inner.startswith("JSON("):
        prefix, data = _object(flatten(elements, declared.element), len(elements), declared.element)
        return prefix, ends + data
    scalar = inner.removeprefix("Nullable(").removesuffix(")")
    empty = _EMPTY[scalar]
    filled = [empty if value is None else value for value in elements]
    return b"", ends + bytes([value is None for value in elements]) + _WRITERS[scalar](filled)


_EMPTY: Final[Mapping[str, Any]] = {"Int64": 0, "Float64": 0.0, "String": "", "Bool": False}
_WRITERS: Final[Mapping[str, Callable[[Sequence[Any]], bytes]]] = {
    "Int64": integers,
    "UInt64": lambda values: array("Q", values).tobytes(),
    "Float64": lambda values: array("d", values).tobytes(),
    "String": texts,
    "Bool": bytes,
}
json_bytes: Final = msgspec.json.Encoder(decimal_format="number").encode


def block(columns: Sequence[Column], rows: int) -> bytes:
    """Return one block of a Native stream."""
    parts = [varint(len(columns)), varint(rows)]
    for column in columns:
        parts += (_sized(column.name.encode()), _sized(column.type.encode()), column.data)
    return b"".join(parts)
