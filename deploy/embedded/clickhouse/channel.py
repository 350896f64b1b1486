"""A client's socket on the native protocol: packets in, packets out, with the memory of both bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from . import compression, native, protocol
from .errors import ProtocolError, ServerError
from .native import Column, Flag
from .wire import Buffer

T = TypeVar("T")
Sink = Callable[[bytes], Awaitable[None]]

READ_SIZE = 1 << 18
PIECE = 1 << 20
"""Bytes of a block gathered before they are passed on, whole or not."""

FAREWELL = 1.0
"""Seconds to let a client read why it is being disconnected."""


class Channel:
    """Reads and writes packets. EOFError from any reading method says that the client has gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = Buffer()
        self._frames = Buffer()
        self._next: asyncio.Task[int] | None = None
        self.revision = 0

    @property
    def flagged(self) -> bool:
        """Whether blocks on this connection bear the custom-serialization flag."""
        return self.revision >= protocol.WITH_CUSTOM_SERIALIZATION

    async def parse(self, parser: Generator[None, None, T]) -> T:
        """Run a parser over what comes in; raises ProtocolError when the bytes make no sense."""
        try:
            while True:
                try:
                    next(parser)
                except StopIteration as stop:
                    value: T = stop.value
                    return value
                data = await self._reader.read(READ_SIZE)
                if not data:
                    raise EOFError
                self._buffer.feed(data)
        except ServerError as error:
            raise ProtocolError(error.code, error.message, error.name) from None

    @property
    def buffer(self) -> Buffer:
        """What parsers given to ``parse`` read from."""
        return self._buffer

    async def packet(self) -> int:
        """The type of the next packet."""
        if self._next is None:
            return await self.parse(self._buffer.varint())
        awaited, self._next = self._next, None
        return await awaited

    def watch(self, noticed: Callable[[str], None]) -> None:
        """While a query runs: call ``noticed`` with "cancelled" on a Cancel packet, "gone" when the client left."""

        def done(task: asyncio.Task[int]) -> None:
            if task.cancelled() or task is not self._next:
                return
            if task.exception() is not None:
                noticed("gone")
            elif task.result() == protocol.CANCEL:
                self._next = None
                noticed("cancelled")

        if self._next is None:
            self._next = asyncio.create_task(self.parse(self._buffer.varint()))
            self._next.add_done_callback(done)

    async def block(self, compressed: bool, sink: Sink | None) -> tuple[list[Column], int]:
        """Read the block of a Data packet behind its table name, handing its bytes to ``sink`` piece by piece."""
        buffer = self._frames if compressed else self._buffer
        parser = _block(buffer, Flag.REMOVE if self.flagged else Flag.ABSENT)
        gathered = 0
        try:
            while True:
                try:
                    next(parser)
                except StopIteration as stop:
                    value: tuple[list[Column], int] = stop.value
                    if sink is not None and value[0]:
                        await sink(b"".join(buffer.out))
                    buffer.out.clear()
                    return value
                if compressed:
                    more = await self.parse(compression.frame(self._buffer))
                else:
                    more = await self._reader.read(READ_SIZE)
                    if not more:
                        raise EOFError
                buffer.feed(more)
                gathered = sum(map(len, buffer.out)) if len(buffer.out) < 64 else PIECE
                if gathered >= PIECE or sink is None:
                    if sink is not None:
                        await sink(b"".join(buffer.out))
                    buffer.out.clear()
        except ServerError as error:
            raise ProtocolError(error.code, error.message, error.name) from None

    async def send(self, data: bytes) -> None:
        """Write and wait until the client has taken most of it."""
        self._writer.write(data)
        await self._writer.drain()

    def data(self, blocks: bytes, compression_method: int | None) -> bytes:
        """A Data packet around one Native block."""
        body = protocol.data_body(blocks)
        if compression_method is not None:
            body = compression.compress(body, compression_method)
        return protocol.DATA_HEAD + body

    async def close(self, farewell: bytes = b"") -> None:
        """Say a last word, if any, and close."""
        if self._next is not None:
            self._next.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._next
        with contextlib.suppress(ConnectionError, TimeoutError):
            if farewell:
                self._writer.write(farewell)
                self._writer.write_eof()
                async with asyncio.timeout(FAREWELL):
                    while await self._reader.read(READ_SIZE):
                        pass
        self._writer.close()


def _block(buffer: Buffer, flag: Flag) -> Generator[None, None, tuple[list[Column], int]]:
    yield from protocol.read_block_info(buffer)
    return (yield from native.block(buffer, flag))
