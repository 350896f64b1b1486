"""Content cut into blocks of whole lines, in bounded memory whatever the length of a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

BLOCK = 4 << 20


def blocks(stream: IO[bytes], limit: int, size: int = BLOCK) -> Iterator[bytes]:
    r"""Yield blocks of whole lines without the last "\n". Of a line beyond `limit` bytes at least `limit` + 1 remain,
    so that it is still seen to be too long."""
    carry = b""
    while data := stream.read(size):
        end = data.rfind(b"\n")
        if end < 0:
            carry = (carry + data)[: limit + 1] if len(carry) <= limit else carry
            continue
        yield carry + data[:end]
        carry = data[end + 1 :]
    if carry:
        yield carry
