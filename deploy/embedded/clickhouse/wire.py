"""Bytes of ClickHouse's binary protocol: a buffer that parsers read from without doing I/O, and the encoders.

A parser is a generator over a ``Buffer``: it yields whenever it needs more bytes and returns its value. The caller
feeds the buffer and resumes it, so the same parsers serve a socket, decompressed frames and a complete byte string.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import TypeVar

from .errors import ServerError

T = TypeVar("T")
Parser = Generator[None, None, int]

MAX_STRING = 1 << 20
"""Bytes allowed to a name, a setting or another short string of a packet."""

MAX_QUERY = 64 << 20
"""Bytes allowed to the text of one query (the engine's max_query_size applies to what precedes inline data)."""

_U64 = struct.Struct("<Q")


class Buffer:
    """Bytes received and not yet parsed; ``pos`` is the next one.

    A parser that copies what it reads (a block on its way to the engine) calls ``start``, ``emit`` and ``drop``;
    the copied pieces gather in ``out``.
    """

    __slots__ = ("_copying", "_mark", "data", "out", "pos")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.pos = 0
        self.out: list[bytes] = []
        self._copying = False
        self._mark = 0

    def feed(self, data: bytes) -> None:
        """Append bytes, dropping those already parsed (and copied, when copying)."""
        self.emit()
        if self.pos:
            del self.data[: self.pos]
            self.pos = self._mark = 0
        self.data += data

    @property
    def available(self) -> int:
        return len(self.data) - self.pos

    def start(self) -> None:
        """Copy everything parsed from here on."""
        self._copying = True
        self._mark = self.pos

    def emit(self) -> None:
        """Move what was parsed since the last call to ``out``."""
        if self._copying and self.pos > self._mark:
            self.out.append(bytes(memoryview(self.data)[self._mark : self.pos]))
            self._mark = self.pos

    def drop(self) -> None:
        """Leave what was parsed since the last ``emit`` out of the copy."""
        self._mark = self.pos

    def stop(self) -> None:
        self.emit()
        self._copying = False

    def byte(self) -> Parser:
        while self.pos >= len(self.data):
            yield
        value = self.data[self.pos]
        self.pos += 1
        return value

    def varint(self) -> Parser:
        result = shift = 0
        while True:
            value = yield from self.byte()
            result |= (value & 0x7F) << shift
            if value < 0x80:
                return result
            shift += 7
            if shift > 63:
                raise ServerError(117, "Malformed variable-length integer")

    def uint64(self) -> Parser:
        while self.available < 8:
            yield
        value: int = _U64.unpack_from(self.data, self.pos)[0]
        self.pos += 8
        return value

    def skip(self, count: int) -> Generator[None, None, None]:
        """Pass over ``count`` bytes, however many, without holding them."""
        while (have := len(self.data) - self.pos) < count:
            self.pos += have
            count -= have
            yield
        self.pos += count

    def raw(self, count: int) -> Generator[None, None, bytes]:
        while self.available < count:
            yield
        value = bytes(memoryview(self.data)[self.pos : self.pos + count])
        self.pos += count
        return value

    def blob(self, limit: int = MAX_STRING) -> Generator[None, None, bytes]:
        size = yield from self.varint()
        if size > limit:
            raise ServerError(131, f"Too large string size: {size}, the limit here is {limit}")
        return (yield from self.raw(size))

    def string(self, limit: int = MAX_STRING) -> Generator[None, None, str]:
        value = yield from self.blob(limit)
        return value.decode("utf-8", "surrogateescape")

    def skip_strings(self, count: int) -> Generator[None, None, None]:
        """Pass over ``count`` length-prefixed strings: the hot loop of reading a block."""
        while count:
            data, pos, end = self.data, self.pos, len(self.data)
            while count and pos < end:
                size = data[pos]
                if size >= 0x80:
                    break
                if pos + size >= end:
                    break
                pos += size + 1
                count -= 1
            self.pos = pos
            if not count:
                return
            size = yield from self.varint()
            yield from self.skip(size)
            count -= 1


def run_complete(parser: Generator[None, None, T]) -> T:
    """Run a parser whose buffer already holds everything it may read; EOFError when it wants more."""
    try:
        next(parser)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise EOFError("truncated data")


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def string(value: str | bytes) -> bytes:
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return varint(len(raw)) + raw


def uint64(value: int) -> bytes:
    return _U64.pack(value)
