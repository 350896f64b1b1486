"""Asking a service: request-reply over NATS with deadlines, cancellation, retries and streamed replies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from contracts import headers as names
from contracts import subjects
from contracts.errors import DeadlineExceeded, TooLarge, Unavailable
from contracts.operation import Operation
from services.kit import telemetry
from services.kit.rpc_calls import ConnectionLost, NobodyListens, PendingCall
from services.kit.rpc_reply import Reply
from services.kit.streaming import BEAT, SILENCE

__all__ = ["Reply", "RpcClient"]

_TICK = 0.1
"""Seconds between looks at the connection and at the calls in flight."""
_PATIENCE = 2.5
"""Seconds at most (and a quarter of the call's time) to wait for a service or a connection that is restarting."""


class RpcClient:
    """Calls operations over one NATS connection, any number at a time.

    One wildcard subscription takes all replies. It works with any nats-py connection; `services.kit.lifecycle.connect`
    makes one that survives restarts of the server.
    """

    def __init__(self, connection: Client):
        self._connection = connection
        self._calls: dict[str, PendingCall] = {}
        self._numbers = 0
        self._prefix = ""
        self._subscription: Subscription | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._busy = asyncio.Event()

    async def start(self) -> None:
        """Subscribe to this client's inbox. Call once, before the first `call`."""
        self._prefix = self._connection.new_inbox() + "."
        self._subscription = await self._connection.subscribe(self._prefix + "*", cb=self._received)
        self._watcher = asyncio.create_task(self._watch(), name="rpc watcher")

    async def close(self) -> None:
        """Stop; calls in flight end with Unavailable. The connection stays open: it is the caller's."""
        if self._watcher is not None:
            self._watcher.cancel()
        for call in list(self._calls.values()):
            call.fail(Unavailable("this process is stopping", retry_after=1))
        if self._subscription is not None and not self._connection.is_closed:
            try:
                await self._subscription.unsubscribe()
            except nats.errors.Error:
                return  # draining or closed meanwhile: the subscription went with it

    async def call(
        self, operation: Operation, body: bytes, headers: Mapping[str, str], timeout: float, *, stream: bool = True
    ) -> Reply:
        """Ask, and return the reply, or its beginning when it streams.

        `timeout` (seconds) holds for all of it, the reading of a streamed reply too. With `stream=False` the service
        refuses to send more than one message.

        Raises:
            Unavailable: nobody serves the operation, NATS is away, or the service died.
            DeadlineExceeded: no reply in time; the service was told to stop.
            TooLarge: the request is over the server's message size.
            CdpError: what the service raised.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        patience = loop.time() + min(timeout / 4, _PATIENCE)
        if not self._connection.is_connected:
            raise Unavailable("there is no connection to NATS", retry_after=1)
        delay = 0.02
        with telemetry.span(operation.id, kind="client"):
            sent = {**headers, **telemetry.inject()}
            if stream:
                sent[names.STREAM] = "1"
            while True:
                try:
                    return await self._attempt(operation, body, sent, deadline, stream)
                except NobodyListens as error:
                    # Nobody got it, so asking again is safe for every operation.
                    if loop.time() + delay > patience:
                        raise Unavailable(f"no {operation.service} service is running", retry_after=1) from error
                except ConnectionLost as error:
                    if not operation.idempotent or loop.time() + delay > patience:
                        raise Unavailable("the connection to NATS was lost", retry_after=1) from error
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
                delay = min(delay * 2, 0.25)

    async def _attempt(
        self, operation: Operation, body: bytes, headers: dict[str, str], deadline: float, stream: bool
    ) -> Reply:
        if not self._connection.is_connected:
            raise ConnectionLost
        self._numbers += 1
        token = f"{self._numbers:x}"
        inbox = self._prefix + token
        loop = asyncio.get_running_loop()
        headers[names.TIMEOUT] = str(max(1, round((deadline - loop.time()) * 1000)))
        call = PendingCall(self._connection.stats["reconnects"], stream, self._report)
        timer = loop.call_at(deadline, call.fail, DeadlineExceeded("the time given for the answer is over"))
        self._calls[token] = call
        self._busy.set()

        async def close() -> None:
            timer.cancel()
            self._calls.pop(token, None)
            if not call.done:
                await self._publish(subjects.CANCEL, inbox.encode())

        streamed = False
        try:
            await self._connection.publish(operation.subject, body, reply=inbox, headers=headers)
            reply_headers, reply_body = await call.first
            streamed = call.reader is not None
        except nats.errors.MaxPayloadError as error:
            call.done = True
            raise TooLarge("the request is over the message size of NATS") from error
        except nats.errors.Error as error:
            raise ConnectionLost from error
        finally:
            if not streamed:
                await close()
        return Reply(reply_headers, None, call.reader, close) if streamed else Reply(reply_headers, reply_body)

    async def _received(self, message: Msg) -> None:
        call = self._calls.get(message.subject[len(self._prefix) :])
        if call is not None:
            call.receive(message.headers or {}, message.data)

    async def _report(self, subject: str, consumed: int) -> None:
        await self._publish(subject, str(consumed).encode())

    async def _publish(self, subject: str, body: bytes) -> None:
        try:
            await self._connection.publish(subject, body)
        except nats.errors.Error:
            return  # no connection: the service notices by itself, after SILENCE

    async def _watch(self) -> None:
        """End calls whose connection was lost or whose service went silent; tell services that readers live."""
        loop = asyncio.get_running_loop()
        last_report = loop.time()
        while True:
            await self._busy.wait()
            await asyncio.sleep(_TICK)
            now = loop.time()
            connected = self._connection.is_connected or self._connection.is_draining
            reconnects = self._connection.stats["reconnects"]
            report = now - last_report >= BEAT
            for token, call in list(self._calls.items()):
                if call.reader is not None and call.reader.ended:
                    self._calls.pop(token, None)  # what it has is read without us
                elif not connected or call.reconnects != reconnects:
                    call.lose()
                elif call.stream and now - call.heard > SILENCE:
                    call.fail(Unavailable("the service stopped answering", retry_after=1))
                elif report and call.reader is not None:
                    await call.reader.report()
            if report:
                last_report = now
            if not self._calls:
                self._busy.clear()
