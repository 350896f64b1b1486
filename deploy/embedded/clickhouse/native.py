"""Walks blocks in ClickHouse's Native format without decoding their values.

Native blocks carry no length, so whoever forwards them has to know where each column ends: to find the end of a
block on a socket, to list a block's columns, and to add or remove the per-column flag that connections of revision
54454 and later carry after the type name and the engine's own Native format does not.

Layout: a varint of columns, a varint of rows, then for each column its name, its type, its state prefix and data
(nothing when there are no rows).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum

from .errors import ServerError
from .types import Type, parse
from .wire import MAX_STRING, Buffer, run_complete, string, varint

Walk = Generator[None, None, None]
Reader = Callable[[Buffer, int], Walk]
Column = tuple[str, str]
"""Name and type of a column."""

MAX_COLUMNS = 100_000
MAX_ROWS = 1 << 40
MAX_NESTING = 64


class Flag(Enum):
    """What to do with the "custom serialization" byte behind each column's type."""

    ABSENT = 0
    REMOVE = 1
    ADD = 2


def block(buffer: Buffer, flag: Flag) -> Generator[None, None, tuple[list[Column], int]]:
    """Pass over one block, copying it to ``buffer.out``; returns its columns and number of rows.

    Raises ServerError for a type that cannot be walked (aggregate function states) and for malformed data.
    """
    buffer.start()
    count = yield from buffer.varint()
    rows = yield from buffer.varint()
    if count > MAX_COLUMNS or rows > MAX_ROWS:
        raise ServerError(117, f"A block of {count} columns and {rows} rows is beyond what is accepted")
    columns: list[Column] = []
    for _ in range(count):
        name = yield from buffer.string()
        type_name = yield from buffer.string()
        columns.append((name, type_name))
        yield from _flag(buffer, flag)
        if rows:
            read = yield from prefix(buffer, parse(type_name))
            yield from read(buffer, rows)
    buffer.stop()
    return columns, rows


def _flag(buffer: Buffer, flag: Flag) -> Walk:
    if flag is Flag.ADD:
        buffer.emit()
        buffer.out.append(b"\0")
    elif flag is Flag.REMOVE:
        buffer.emit()
        custom = yield from buffer.byte()
        buffer.drop()
        if custom:
            raise ServerError(48, "Custom (sparse) serialization is not supported in data from clients")


def split(data: bytes, flag: Flag) -> list[tuple[list[Column], int, bytes]]:
    """Cut concatenated blocks apart: columns, rows and bytes of each."""
    buffer = Buffer(data)
    blocks = []
    while buffer.available:
        columns, rows = run_complete(block(buffer, flag))
        blocks.append((columns, rows, b"".join(buffer.out)))
        buffer.out.clear()
    return blocks


def header(columns: list[Column], flagged: bool) -> bytes:
    """A block of no rows: what a server sends before the data of a result or to ask for the data of an INSERT."""
    tail = b"\0" if flagged else b""
    return varint(len(columns)) + b"\0" + b"".join(string(name) + string(kind) + tail for name, kind in columns)


def prefix(buffer: Buffer, kind: Type, depth: int = 0) -> Generator[None, None, Reader]:
    """Pass over a column's state prefix; returns what passes over its data, given the number of rows."""
    if depth > MAX_NESTING:
        raise ServerError(117, "Types are nested too deep")
    if kind.size:
        size = kind.size
        return lambda buffer, rows: buffer.skip(size * rows)
    match kind.name:
        case "String":
            return Buffer.skip_strings
        case "Nullable":
            inner = yield from prefix(buffer, kind.arguments[0], depth + 1)
            return lambda buffer, rows: _nullable(buffer, rows, inner)
        case "Array":
            inner = yield from prefix(buffer, kind.arguments[0], depth + 1)
            return lambda buffer, rows: _array(buffer, rows, inner)
        case "Tuple":
            parts = yield from _prefixes(buffer, kind.arguments, depth)
            return lambda buffer, rows: _sequence(buffer, rows, parts)
        case "Map" | "Nested":
            parts = yield from _prefixes(buffer, kind.arguments, depth)
            return lambda buffer, rows: _array(buffer, rows, lambda b, n: _sequence(b, n, parts))
        case "LowCardinality":
            yield from buffer.skip(8)
            keys = kind.arguments[0]
            plain = yield from prefix(buffer, keys.arguments[0] if keys.name == "Nullable" else keys, depth + 1)
            return lambda buffer, rows: _low_cardinality(buffer, rows, plain)
        case "Variant":
            return (yield from _variant_prefix(buffer, kind.arguments, depth))
        case "Dynamic":
            return (yield from _dynamic_prefix(buffer, depth))
        case "JSON" | "Object":
            return (yield from _json_prefix(buffer, kind, depth))
    raise ServerError(48, f"Values of type {kind.name} cannot be carried by this connection")


def _prefixes(buffer: Buffer, kinds: tuple[Type, ...], depth: int) -> Generator[None, None, list[Reader]]:
    readers = []
    for kind in kinds:
        reader = yield from prefix(buffer, kind, depth + 1)
        readers.append(reader)
    return readers


def _sequence(buffer: Buffer, rows: int, parts: list[Reader]) -> Walk:
    if not parts:
        yield from buffer.skip(rows)
    for part in parts:
        yield from part(buffer, rows)


def _nullable(buffer: Buffer, rows: int, inner: Reader) -> Walk:
    yield from buffer.skip(rows)
    yield from inner(buffer, rows)


def _array(buffer: Buffer, rows: int, inner: Reader) -> Walk:
    if not rows:
        return
    yield from buffer.skip(8 * (rows - 1))
    total = yield from buffer.uint64()
    if total > MAX_ROWS:
        raise ServerError(117, f"An array of {total} elements is beyond what is accepted")
    yield from inner(buffer, total)


_HAS_GLOBAL_KEYS = 1 << 8
_HAS_OWN_KEYS = 1 << 9


def _low_cardinality(buffer: Buffer, rows: int, keys: Reader) -> Walk:
    if not rows:
        return
    layout = yield from buffer.uint64()
    if layout & _HAS_GLOBAL_KEYS or not layout & _HAS_OWN_KEYS or layout & 0xFF > 3:
        raise ServerError(117, "Unknown layout of a LowCardinality column")
    count = yield from buffer.uint64()
    if count > MAX_ROWS:
        raise ServerError(117, f"A dictionary of {count} keys is beyond what is accepted")
    yield from keys(buffer, count)
    indexes = yield from buffer.uint64()
    if indexes != rows:
        raise ServerError(117, "A LowCardinality column has another number of rows than its block")
    yield from buffer.skip(rows << (layout & 0xFF))


_NULL = 255


def _variant_prefix(buffer: Buffer, kinds: tuple[Type, ...], depth: int) -> Generator[None, None, Reader]:
    mode = yield from buffer.uint64()
    if mode:
        raise ServerError(48, "Compact discriminators of Variant are not supported")
    parts = yield from _prefixes(buffer, kinds, depth)
    return lambda buffer, rows: _variant(buffer, rows, parts)


def _variant(buffer: Buffer, rows: int, parts: list[Reader]) -> Walk:
    counts = [0] * 256
    left = rows
    while left:
        if not buffer.available:
            yield
            continue
        piece = yield from buffer.raw(min(left, buffer.available))
        left -= len(piece)
        for value in set(piece):
            counts[value] += piece.count(value)
    if sum(counts[len(parts) : _NULL]):
        raise ServerError(117, "A discriminator names no type of its Variant")
    for part, count in zip(parts, counts, strict=False):
        if count:
            yield from part(buffer, count)


_SHARED = "SharedVariant"


def _dynamic_prefix(buffer: Buffer, depth: int) -> Generator[None, None, Reader]:
    version = yield from buffer.uint64()
    if version not in (1, 2):
        raise ServerError(48, f"Version {version} of the Dynamic serialization is not supported")
    if version == 1:
        yield from buffer.varint()
    count = yield from buffer.varint()
    if count >= _NULL:
        raise ServerError(117, f"A Dynamic column of {count} types is beyond what is accepted")
    names = [_SHARED]
    for _ in range(count):
        name = yield from buffer.string()
        names.append(name)
    kinds = tuple(parse("String" if name == _SHARED else name) for name in sorted(names))
    return (yield from _variant_prefix(buffer, kinds, depth))


def _json_prefix(buffer: Buffer, kind: Type, depth: int) -> Generator[None, None, Reader]:
    version = yield from buffer.uint64()
    if version == 1:
        return Buffer.skip_strings
    if version not in (0, 2):
        raise ServerError(48, f"Version {version} of the JSON serialization is not supported")
    if version == 0:
        yield from buffer.varint()
    count = yield from buffer.varint()
    if count > MAX_STRING:
        raise ServerError(117, f"A JSON column of {count} paths is beyond what is accepted")
    yield from buffer.skip_strings(count)
    typed = sorted(zip(kind.names, kind.arguments, strict=True), key=lambda item: item[0].encode())
    parts = yield from _prefixes(buffer, tuple(path_type for _, path_type in typed), depth)
    for _ in range(count):
        part = yield from _dynamic_prefix(buffer, depth + 1)
        parts.append(part)
    shared = yield from prefix(buffer, parse("Array(Tuple(String, String))"), depth + 1)
    return lambda buffer, rows: _sequence(buffer, rows, [*parts, shared])
