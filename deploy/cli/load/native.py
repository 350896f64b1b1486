"""ClickHouse's Native format, written column by column: the cheapest INSERT for the engine, which then parses nothing.

The layout is that of the format's specification (clickhouse.com/docs/reference/interfaces/specs/NativeFormat): a block
is the number of columns, the number of rows, then each column as name, type, data. JSON columns have two wire forms
here: text (version 1, the engine parses each value) and flattened (version 3, since ClickHouse 25.6: a column a path).
The same order lines took the engine 16 µs a row as JSONCompactEachRow and 6 µs flattened.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

_JSON_AS_TEXT: Final = struct.pack("<Q", 1)
_FLATTENED: Final = struct.pack("<Q", 3)
MAX_FLAT_PATHS: Final = 64
"""Beyond the tables' max_dynamic_paths a flattened object gains nothing; such columns go as text."""


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
    ends = array("Q", bytes(0))
    total = 0
    for value in values:
        total += len(value)
        ends.append(total)
    return ends.tobytes() + texts(list(chain.from_iterable(values)))


def integers(values: Iterable[int]) -> bytes:
    """Encode Int64 data, which is also that of DateTime64."""
    return array("q", values).tobytes()


def uuids(values: Iterable[bytes]) -> bytes:
    """Encode UUID data from the 16 bytes of each: two little-endian halves, the high one first."""
    return b"".join(value[7::-1] + value[15:7:-1] for value in values)


def json_texts(values: Sequence[bytes]) -> bytes:
    """Encode a JSON column from JSON texts; the engine parses each."""
    return _JSON_AS_TEXT + blobs(values)


def is_flat(paths: Mapping[str, Sequence[Any]]) -> bool:
    """Whether `json_paths` can carry these: few paths and nothing but text, numbers, booleans and nulls."""
    return len(paths) <= MAX_FLAT_PATHS and all(set(map(type, values)) <= _SCALARS for values in paths.values())


def json_paths(paths: Mapping[str, Sequence[Any]]) -> bytes:
    """Encode a JSON column without typed paths from its paths (dots join the levels), None where a row has no value.

    The types are those the engine infers from JSON text: Int64 (UInt64 beyond), Float64, String, Bool.
    """
    columns = [(path.encode(), *_dynamic(paths[path])) for path in sorted(paths, key=str.encode)]
    names = b"".join(_sized(path) for path, _, _ in columns)
    return b"".join(
        (_FLATTENED, varint(len(columns)), names, *map(itemgetter(1), columns), *map(itemgetter(2), columns))
    )


def _dynamic(values: Sequence[Any]) -> tuple[bytes, bytes]:
    """Return prefix and data of a Dynamic column: which type each row has, then the values of each type."""
    present = [value for value in values if value is not None]
    kinds = set(map(type, present))
    names = sorted(set(map(_type_name, present)) if int in kinds else (_TYPE_NAMES[kind] for kind in kinds))
    prefix = b"".join((_FLATTENED, varint(len(names)), *(_sized(name.encode()) for name in names)))
    if len(names) == 1:
        marks = bytes(len(values)) if len(present) == len(values) else bytes([value is None for value in values])
        return prefix, marks + _WRITERS[names[0]](present)
    index = {name: position for position, name in enumerate(names)}
    which = [len(names) if value is None else index[_type_name(value)] for value in values]
    parts = (
        _WRITERS[name]([value for value, mark in zip(values, which, strict=True) if mark == position])
        for position, name in enumerate(names)
    )
    return prefix, bytes(which) + b"".join(parts)


def _type_name(value: Any) -> str:
    kind = type(value)
    if kind is int:
        return "Int64" if value < 2**63 else "UInt64"
    return _TYPE_NAMES[kind]


_NONE: Final = type(None)
_SCALARS: Final = {str, int, float, bool, _NONE}
_TYPE_NAMES: Final[Mapping[type, str]] = {str: "String", float: "Float64", bool: "Bool"}
_WRITERS: Final[Mapping[str, Callable[[Sequence[Any]], bytes]]] = {
    "Int64": integers,
    "UInt64": lambda values: array("Q", values).tobytes(),
    "Float64": lambda values: array("d", values).tobytes(),
    "String": texts,
    "Bool": bytes,
}


_PLAIN_JSON: Final = re.compile(r"JSON(\((max_dynamic_(paths|types)\s*=\s*\d+(,\s*)?)+\))?")
json_bytes: Final = msgspec.json.Encoder(decimal_format="number").encode


def takes_paths(type_: str) -> bool:
    """Whether `json_paths` can write a column of this type: it names no typed paths, which come first on the wire."""
    return _PLAIN_JSON.fullmatch(type_) is not None


def block(columns: Sequence[Column], rows: int) -> bytes:
    """Return one block of a Native stream."""
    parts = [varint(len(columns)), varint(rows)]
    for column in columns:
        parts += (_sized(column.name.encode()), _sized(column.type.encode()), column.data)
    return b"".join(parts)
