"""Encodings of HTTP bodies, piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Protocol

import lz4.frame
import zstandard

from .compression import compress
from .errors import ServerError


class Codec(Protocol):
    """Turns pieces of one encoding into pieces of another; ``flush`` gives what is left at the end."""

    def push(self, piece: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class _Inflate:
    def __init__(self, window: int) -> None:
        self._window = window
        self._inflater = zlib.decompressobj(window)

    def push(self, piece: bytes) -> bytes:
        out = self._inflater.decompress(piece)
        while self._inflater.eof and self._inflater.unused_data:  # members of gzip may follow each other
            rest = self._inflater.unused_data
            self._inflater = zlib.decompressobj(self._window)
            out += self._inflater.decompress(rest)
        return out

    def flush(self) -> bytes:
        if not self._inflater.eof:
            raise EOFError
        return b""


class _Unframe:
    """zstandard and lz4 frames through the decompressors of their libraries."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def push(self, piece: bytes) -> bytes:
        return bytes(self._inner.decompress(piece))  # type: ignore[attr-defined]

    def flush(self) -> bytes:
        if not getattr(self._inner, "eof", True):
            raise EOFError
        return b""


class _Deflate:
    def __init__(self, window: int) -> None:
        self._deflater = zlib.compressobj(3, zlib.DEFLATED, window)

    def push(self, piece: bytes) -> bytes:
        return self._deflater.compress(piece)

    def flush(self) -> bytes:
        return self._deflater.flush()


class _Zstandard:
    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1).compressobj()

    def push(self, piece: bytes) -> bytes:
        return self._compressor.compress(piece)

    def flush(self) -> bytes:
        return self._compressor.flush()


class _Plain:
    def push(self, piece: bytes) -> bytes:
        return piece

    def flush(self) -> bytes:
        return b""


class _Frames:
    """The engine's own compressed frames, for ``compress=1``."""

    def push(self, piece: bytes) -> bytes:
        return compress(piece)

    def flush(self) -> bytes:
        return b""


def decoder(encoding: str) -> Codec:
    """For a request's Content-Encoding; ServerError 48 for one that is not known."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Inflate(zlib.MAX_WBITS | 16)
        case "deflate":
            return _Inflate(zlib.MAX_WBITS)
        case "zstd":
            return _Unframe(zstandard.ZstdDecompressor().decompressobj())
        case "lz4":
            return _Unframe(lz4.frame.LZ4FrameDecompressor())
    raise ServerError(48, f"Unknown Content-Encoding {encoding[:100]!r}")


def frames() -> Codec:
    """Encodes into ClickHouse's compressed frames."""
    return _Frames()


def encoder(accepted: str) -> tuple[str, Codec]:
    """The first encoding of an Accept-Encoding that is known, and what produces it; "" for none."""
    for name in (part.partition(";")[0].strip().lower() for part in accepted.split(",")):
        if name == "gzip":
            return name, _Deflate(zlib.MAX_WBITS | 16)
        if name == "deflate":
            return name, _Deflate(zlib.MAX_WBITS)
        if name == "zstd":
            return name, _Zstandard()
    return "", _Plain()


async def decoded(pieces: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """A request's body, decoded; ServerError 271 when it is not what its encoding says."""
    codec = decoder(encoding)
    try:
        async for piece in pieces:
            if out := codec.push(piece):
                yield out
        if out := codec.flush():
            yield out
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
        raise ServerError(271, f"Cannot decompress the request's body: {str(error) or 'it ends too early'}") from None
