"""Files and standard input as bytes: decompressed by what they hold, not by their names, and hashed."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import zstandard

from deploy.cli.load.errors import LoadError

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_READ: Final = 1 << 20
_ZSTD_READ: Final = 1 << 14
"""What is read is decompressed at once: small, for very repetitive data grows a thousand times."""
HASH_LENGTH: Final = 32
"""Hexadecimal digits of the content's SHA-256 that message ids begin with: 128 bits."""
_DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)


class Input:
    """A file to load. `size` is what lies on disk, and `position` how much of it has been read, in bytes."""

    def __init__(self, name: str, raw: IO[bytes]) -> None:
        self.name = name
        self._raw = raw
        self.size = raw.seek(0, 2)

    @property
    def position(self) -> int:
        """Bytes of the file on disk that have been read."""
        return self._raw.tell()

    @property
    def is_compressed(self) -> bool:
        """Whether the content is gzip or zstd."""
        self._raw.seek(0)
        return self._raw.read(4).startswith((_GZIP, _ZSTD))

    def start(self) -> IO[bytes]:
        """Return the content from its beginning, decompressed; what was returned before is of no use any more."""
        self._raw.seek(0)
        magic = self._raw.read(4)
        self._raw.seek(0)
        if magic.startswith(_GZIP):
            return cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw, mode="rb"))
        if magic.startswith(_ZSTD):
            return cast("IO[bytes]", io.BufferedReader(_ZstdReader(self._raw), _READ))
        return self._raw

    def content_hash(self) -> str:
        """Return the hash of the content: the same rows have the same message ids, compressed or not.

        Raises:
            LoadError: the compressed data is damaged or cut off.
        """
        digest = hashlib.sha256()
        with damage_named(self.name):
            stream = self.start()
            while data := stream.read(_READ):
                digest.update(data)
        return digest.hexdigest()[:HASH_LENGTH]

    def head(self, size: int = 65_536) -> bytes:
        """Return the first bytes of the content."""
        with damage_named(self.name):
            return self.start().read(size) or b""


class _ZstdReader(io.RawIOBase):
    """Decompresses zstd frames; unlike the library's own reader it tells a file that is cut off from one that ends."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._frame.unused_data if self._frame.eof else b""
            data = data or self._raw.read(_ZSTD_READ)
            if not data:
                if self._begun and not self._frame.eof:
                    raise EOFError("the last zstd frame does not end")
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._begun = True
            self._ready = self._frame.decompress(data)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn the errors of damaged compressed data into a LoadError."""
    try:
        yield
    except _DAMAGED as error:
        raise LoadError(f"{name} is damaged or cut off: {error}") from error


@contextmanager
def open_input(name: str) -> Iterator[Input]:
    """Open a path, or standard input for `-`, which is kept in a temporary file: ids come from a hash of it all.

    Raises:
        LoadError: no such file, or not one to read.
    """
    with ExitStack() as stack:
        if name == "-":
            raw: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(sys.stdin.buffer, raw, _READ)
            yield Input("standard input", raw)
            return
        path = Path(name)
        if path.is_dir():
            raise LoadError(f"{name} is a folder: give one file")
        try:
            raw = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise LoadError(f"{name}: {error.strerror or error}") from error
        yield Input(path.name, raw)
