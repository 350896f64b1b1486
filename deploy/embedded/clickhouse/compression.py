"""The compressed frames of ClickHouse's native protocol.

A frame is a CityHash128 checksum (16 bytes), a method byte, the frame's size from the method byte on (4 bytes), the
size of its content (4 bytes) and the compressed content.
"""

from __future__ import annotations

import struct
from collections.abc import Generator

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from .errors import ServerError
from .wire import Buffer

FRAME_CONTENT = 1 << 20
"""Bytes of content per frame sent."""

MAX_FRAME = 1 << 30
"""The engine's own bound on either size of a frame."""

NONE, LZ4, ZSTD = 0x02, 0x82, 0x90
METHODS = {"LZ4": LZ4, "LZ4HC": LZ4, "ZSTD": ZSTD, "NONE": NONE}

_HEADER = struct.Struct("<BII")
_CHECKSUM = struct.Struct("<QQ")


def compress(data: bytes, method: int = LZ4) -> bytes:
    """Frames holding ``data``."""
    view = memoryview(data)
    return b"".join(_frame(view[at : at + FRAME_CONTENT], method) for at in range(0, len(data), FRAME_CONTENT))


def _frame(content: memoryview, method: int) -> bytes:
    if method == LZ4:
        packed: bytes = lz4.block.compress(content, store_size=False)
    elif method == ZSTD:
        packed = zstandard.ZstdCompressor(level=1).compress(content)
    else:
        packed = bytes(content)
    body = _HEADER.pack(method, len(packed) + _HEADER.size, len(content)) + packed
    return _checksum(body) + body


def _checksum(body: bytes) -> bytes:
    value = CityHash128(body)
    return _CHECKSUM.pack(value >> 64, value & 0xFFFFFFFFFFFFFFFF)


def frame(buffer: Buffer) -> Generator[None, None, bytes]:
    """Read one frame and return its content; the sizes it claims are checked before anything is allocated."""
    checksum = yield from buffer.raw(_CHECKSUM.size)
    head = yield from buffer.raw(_HEADER.size)
    method, packed_size, size = _HEADER.unpack(head)
    if method not in (NONE, LZ4, ZSTD):
        raise ServerError(89, f"Unknown compression method byte {method:#x}", "UNKNOWN_COMPRESSION_METHOD")
    if not _HEADER.size <= packed_size <= MAX_FRAME or size > MAX_FRAME:
        raise ServerError(271, f"A compressed frame of {packed_size} bytes for {size} is beyond what is accepted")
    if size > 256 * (packed_size + 64) and method == LZ4:
        raise ServerError(271, "A compressed frame claims more content than its bytes can hold")
    packed = yield from buffer.raw(packed_size - _HEADER.size)
    if _checksum(head + packed) != checksum:
        raise ServerError(40, "Checksum doesn't match: corrupted data")
    return _expand(packed, method, size)


def _expand(packed: bytes, method: int, size: int) -> bytes:
    try:
        if method == LZ4:
            content: bytes = lz4.block.decompress(packed, uncompressed_size=size)
        elif method == ZSTD:
            if zstandard.frame_content_size(packed) not in (-1, size):
                raise ValueError("size differs")
            content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
        else:
            content = packed
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError) as error:
        raise ServerError(271, f"Cannot decompress: {error}") from None
    if len(content) != size:
        raise ServerError(271, "Cannot decompress: the content has another size than announced")
    return content
