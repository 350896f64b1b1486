"""Replies of several frames: the responder's side.

A reply too large for one message goes to the caller's inbox as numbered frames; the caller reports how many it has
consumed, and the responder never runs more than a window ahead of it, so neither side nor the server buffers more:

    responder                                              reader
        │  Cdp-Frame: 0, Cdp-Credit: <subject>, <bytes>  ──►  │
        │  Cdp-Frame: 1 …                                ──►  │
        │  ◄── to <subject>: "2"  (frames consumed so far)    │
        │  Cdp-Frame: alive    (every BEAT without a frame) ─►│
        │  ◄── to <subject>: "2"  (every BEAT, as a sign of life)
        │  Cdp-Frame: end, {"frames": n, "bytes": b, …}  ──►  │   or `end` with error headers and a Problem
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from contracts import headers as names
from contracts.base import encode
from contracts.errors import CdpError
from services.kit.rpc_errors import encode_error

WHOLE_BYTES: Final = 512 * 1024
"""Largest reply sent as one message; NATS refuses over 1 MiB by default."""
FRAME_BYTES: Final = 256 * 1024
WINDOW_BYTES: Final = 4 * 1024 * 1024
"""Bytes a responder may be ahead of its reader."""
BEAT: Final = 2.0
"""Seconds between signs of life, in both directions."""
SILENCE: Final = 10.0
"""Seconds without a sign of life after which the other side is taken for dead."""
END: Final = "end"
ALIVE: Final = "alive"

Publish = Callable[[str, bytes, Mapping[str, str]], Awaitable[None]]
"""Publishes (subject, body, headers)."""


class ReaderGone(Exception):
    """The reader cancelled, died or lost its connection: there is nobody to answer."""


class FrameWriter:
    """Sends one reply as frames. Not to be shared by tasks: one `send` at a time."""

    def __init__(self, publish: Publish, inbox: str, credit: str, headers: Mapping[str, str], deadline: float):
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._publish = publish
        self._inbox = inbox
        self._credit = credit
        self.credit_token = credit.rpartition(".")[2]
        self._headers: Mapping[str, str] = headers
        self._outstanding: deque[int] = deque()
        self._ahead = 0
        self._consumed = 0
        self._room = asyncio.Event()
        self._gone = False
        self.frames = 0
        self.bytes = 0
        self.heard = self._loop.time()
        """Loop time of the reader's last sign of life."""

    async def send(self, data: bytes) -> None:
        """Send `data` in frames of at most FRAME_BYTES, waiting for the reader where the window is full.

        Raises:
            ReaderGone: `close` was called meanwhile.
            TimeoutError: the deadline (loop time) has passed.
        """
        if len(data) <= FRAME_BYTES:
            await self._frame(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), FRAME_BYTES):
            await self._frame(view[start : start + FRAME_BYTES])

    async def _frame(self, data: bytes | memoryview) -> None:
        size = len(data)
        # Looked at here as well as by the scope around the call: nats-py swallows a cancellation that arrives while it
        # waits for its socket, and the source would then run on for ever.
        while not self._gone and self._ahead and self._ahead + size > WINDOW_BYTES:
            self._room.clear()
            async with asyncio.timeout_at(self._deadline):
                await self._room.wait()
        if self._gone:
            raise ReaderGone
        if self._loop.time() >= self._deadline:
            raise TimeoutError
        headers = {**self._headers, names.FRAME: str(self.frames), names.CREDIT: self._credit}
        self._headers = {}  # what describes the reply travels once, on frame 0
        self._outstanding.append(size)
        self._ahead += size
        self.frames += 1
        self.bytes += size
        await self._publish(self._inbox, data, headers)  # type: ignore[arg-type]  # any buffer will do

    def credit(self, consumed: int) -> None:
        """Note that the reader has consumed `consumed` frames in all. Late and repeated reports do no harm."""
        self.heard = self._loop.time()
        while self._consumed < consumed and self._outstanding:
            self._ahead -= self._outstanding.popleft()
            self._consumed += 1
        self._room.set()

    def close(self) -> None:
        """Stop: a waiting or later `send` raises ReaderGone."""
        self._gone = True
        self._room.set()

    async def alive(self) -> None:
        """Tell the reader that the work goes on."""
        await self._publish(self._inbox, b"", {names.FRAME: ALIVE, names.CREDIT: self._credit})

    async def end(self, totals: Mapping[str, Any]) -> None:
        """Send the end frame; its `frames` lets the reader see that none is missing."""
        body = encode({**totals, "frames": self.frames, "bytes": self.bytes})
        await self._publish(self._inbox, body, {names.FRAME: END, names.CONTENT_TYPE: "application/json"})

    async def fail(self, error: CdpError, request_id: str) -> None:
        """End the reply with an error."""
        headers, body = encode_error(error, request_id)
        await self._publish(self._inbox, body, {**headers, names.FRAME: END})
