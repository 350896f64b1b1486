"""Replies of several frames: the reader's side, and the reply as a caller sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

import msgspec

from contracts import headers as names
from contracts.errors import CdpError, TooLarge, Unavailable
from services.kit.rpc_errors import decode_error
from services.kit.streaming import ALIVE, END, WINDOW_BYTES

Report = Callable[[str, int], Awaitable[None]]
"""Publishes the number of frames consumed to a credit subject."""

_REPORT_EVERY = 4
"""Frames consumed between two reports while more are waiting: a quarter of the window."""


class FrameReader:
    """Puts the frames of one reply in order for one consumer. `push` never blocks: the window bounds what waits."""

    def __init__(self, report: Report):
        self._report = report
        self._frames: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._expected = 0
        self._consumed = 0
        self._reported = 0
        self._credit = ""
        self._wake = asyncio.Event()
        self._error: CdpError | None = None
        self.ended = False
        self.totals: dict[str, Any] = {}

    def push(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take one message of the reply. A missing frame, or more frames than the window, ends it with an error."""
        if self.ended:
            return
        frame = headers[names.FRAME]
        self._credit = headers.get(names.CREDIT, self._credit)
        if frame == END:
            self._end(headers, body)
        elif frame == ALIVE:
            return
        elif frame != str(self._expected):
            self.fail(Unavailable(f"frame {self._expected} of the reply was lost, {frame} arrived", retry_after=1))
        elif self._waiting_bytes + len(body) > 2 * WINDOW_BYTES:
            self.fail(Unavailable("the reply was sent faster than it could be read", retry_after=1))
        else:
            self._expected += 1
            self._waiting_bytes += len(body)
            self._frames.append(body)
            self._wake.set()

    def _end(self, headers: Mapping[str, str], body: bytes) -> None:
        error = decode_error(headers, body)
        if error is None:
            try:
                self.totals = msgspec.json.decode(body, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                error = Unavailable("the end of the reply cannot be read", retry_after=1)
            else:
                if self.totals.get("frames") != self._expected:
                    error = Unavailable("the last frames of the reply were lost", retry_after=1)
        self._error = error
        self.ended = True
        self._wake.set()

    def fail(self, error: CdpError) -> None:
        """End the reply with an error, raised after the frames that had arrived."""
        if not self.ended:
            self._error = error
            self.ended = True
            self._wake.set()

    async def next(self) -> bytes | None:
        """Return the next frame's bytes, None after the last.

        Raises:
            CdpError: the reply ended with an error, or is incomplete.
        """
        while not self._frames:
            if self._error is not None:
                raise self._error
            if self.ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        data = self._frames.popleft()
        self._waiting_bytes -= len(data)
        self._consumed += 1
        if not self.ended and (not self._frames or self._consumed - self._reported >= _REPORT_EVERY):
            await self.report()
        return data

    async def report(self) -> None:
        """Tell the responder how far this reader is; repeated as a sign of life."""
        if self._credit and not self.ended:
            self._reported = self._consumed
            await self._report(self._credit, self._consumed)


class Reply:
    """An answer: whole (`body` is bytes) or streamed (`body` is None, read `chunks`).

    Close a streamed one when it is not read to its end (`aclose`, or use it as an async context manager), which tells
    the service to stop.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        body: bytes | None,
        reader: FrameReader | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ):
        self.headers = headers
        self.body = body
        self._reader = reader
        self._close = close

    @property
    def totals(self) -> Mapping[str, Any]:
        """What the service said at the end of a streamed reply; empty for a whole one."""
        return {} if self._reader is None else self._reader.totals

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, once.

        Raises:
            CdpError: the service failed meanwhile, or a part was lost: what came before is not a complete answer.
        """
        if self._reader is None:
            yield self.body or b""
            return
        try:
            while (data := await self._reader.next()) is not None:
                yield data
        finally:
            await self.aclose()

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole body.

        Raises:
            TooLarge: it is over `limit` bytes.
            CdpError: as `chunks`.
        """
        if self.body is not None and (limit is None or len(self.body) <= limit):
            return self.body
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if limit is not None and size > limit:
                await self.aclose()
                raise TooLarge(f"the answer is over {limit} bytes: ask for a page or a stream")
            parts.append(chunk)
        return b"".join(parts)

    async def aclose(self) -> None:
        """Let go of the reply; the service stops if it is still sending. May be called again."""
        if self._close is not None:
            close, self._close = self._close, None
            await close()

    async def __aenter__(self) -> Reply:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
