"""One call in flight, as its messages arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from contracts import headers as names
from contracts.errors import CdpError, Unavailable
from services.kit.rpc_errors import decode_error
from services.kit.rpc_reply import FrameReader, Report
from services.kit.streaming import ALIVE, END


class NobodyListens(Exception):
    """The server answered that no responder is subscribed (its 503 status)."""


class ConnectionLost(Exception):
    """The connection broke before an answer came; whether the request arrived is unknown."""


class PendingCall:
    """Waits for the first message of a reply (`first`: its headers and body) and feeds the rest to a reader.

    `reconnects` is the connection's count when the call was made: another count later means messages may be lost.
    """

    def __init__(self, reconnects: int, stream: bool, report: Report):
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[tuple[Mapping[str, str], bytes]] = loop.create_future()
        self.reader: FrameReader | None = None
        self.reconnects = reconnects
        self.stream = stream
        self.heard = loop.time()
        """Loop time of the service's last sign of life."""
        self.done = False
        """Nothing more will come: there is nothing to cancel."""
        self._report = report

    def receive(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take one message from the inbox."""
        self.heard = asyncio.get_running_loop().time()
        frame = headers.get(names.FRAME)
        if frame is None:
            self.done = True
            if headers.get("Status") == "503" and not body:
                self._fail_first(NobodyListens())
            elif (error := decode_error(headers, body)) is not None:
                self._fail_first(error)
            elif not self.first.done():
                self.first.set_result((headers, body))
        elif self.reader is not None:
            self.reader.push(headers, body)
            self.done = self.done or frame == END
        elif frame == END:
            self.done = True
            missing = Unavailable("the beginning of the reply was lost", retry_after=1)
            self._fail_first(decode_error(headers, body) or missing)
        elif frame != ALIVE and not self.first.done():
            self.reader = FrameReader(self._report)
            self.reader.push(headers, body)
            self.first.set_result((headers, b""))

    def fail(self, error: CdpError) -> None:
        """End the call with an error found on this side."""
        if self.reader is not None:
            self.reader.fail(error)
        else:
            self._fail_first(error)

    def lose(self) -> None:
        """End the call because the connection broke. A reply not begun may be asked for again."""
        if self.reader is not None:
            self.reader.fail(Unavailable("the connection to NATS was lost in the middle of the reply", retry_after=1))
        else:
            self._fail_first(ConnectionLost())

    def _fail_first(self, error: Exception) -> None:
        if not self.first.done():
            self.first.set_exception(error)
