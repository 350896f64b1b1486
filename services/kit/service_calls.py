"""Calls in flight in a service process: admission, deadline, cancellation, and a reply whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts import headers as names
from contracts import subjects
from contracts.errors import CdpError, DeadlineExceeded, Internal, Unavailable
from contracts.operation import Operation
from services.kit import logs, telemetry
from services.kit.metrics import Metrics
from services.kit.micro_stats import EndpointStats
from services.kit.rpc_errors import encode_error
from services.kit.service_call import STATUS_CANCELLED, ActiveCall, record
from services.kit.service_reply import send_result
from services.kit.service_request import Received, context_of
from services.kit.service_types import Handler, Service
from services.kit.settings import Settings
from services.kit.streaming import ALIVE, BEAT, SILENCE, FrameWriter, ReaderGone

_LONGEST_INBOX = 256
_CANCELLED_KEPT = 1024
"""Cancellations remembered, for those that overtake their request."""


class Calls:
    """All calls of a process. `accept` takes each message; the rest follows by itself."""

    def __init__(self, service: Service, settings: Settings, metrics: Metrics, instance: str):
        self._settings = settings
        self._metrics = metrics
        self._places = asyncio.Semaphore(settings.query_concurrency)
        self._most_waiting = 2 * settings.query_concurrency
        self._waiting = 0
        self._most_streams = max(1, settings.query_concurrency // 2)
        self._credit_prefix = f"{subjects.PREFIX}.ctl.v1.credit.{service.name}.{instance}."
        self._numbers = 0
        self._active: set[ActiveCall] = set()
        self._by_credit: dict[str, ActiveCall] = {}
        self._cancelled: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection: Client | None = None
        self._reconnects = 0
        self.stats = {operation.name: EndpointStats() for operation in service.operations}

    async def start(self, connection: Client) -> None:
        """Listen for credits and cancellations. Before the first `accept`."""
        self._connection = connection
        self._reconnects = connection.stats["reconnects"]
        await connection.subscribe(self._credit_prefix + "*", cb=self._credited)
        await connection.subscribe(subjects.CANCEL, cb=self._cancel)

    def accept(self, operation: Operation, handler: Handler, received: Received) -> None:
        """Begin to work on a message, or refuse it at once when too many wait already."""
        call = ActiveCall(operation, received, asyncio.get_running_loop().time())
        task = asyncio.create_task(self._run(call, handler), name=operation.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: ActiveCall, handler: Handler) -> None:
        logs.request_id.set(call.request_id)
        self._active.add(call)
        error: CdpError | None = None
        attributes = {"cdp.operation": call.operation.id, "cdp.request_id": call.request_id}
        with telemetry.span(
            call.operation.id, kind="server", parent=call.received.headers, attributes=attributes
        ) as span:
            try:
                await self._answer(call, handler)
            except ReaderGone:
                call.cancelled = True
            except CdpError as raised:
                error = raised
            except asyncio.CancelledError:
                call.stopping = True
                error = Unavailable("the service is stopping", retry_after=1)
            except Exception as raised:
                logs.log(logging.ERROR, "handler failed", error=raised, operation=call.operation.id)
                error = Internal(f"request {call.request_id}")
            finally:
                call.ended = True
                self._active.discard(call)
            if error is not None:
                await self._fail(call, error)
            status = STATUS_CANCELLED if call.cancelled else 200 if error is None else error.status
            if span is not None:
                span.set_attribute("cdp.status", status)
        if call.writer is not None:
            self._by_credit.pop(call.writer.credit_token, None)
        record(call, status, self._metrics, self.stats[call.operation.name])

    async def _answer(self, call: ActiveCall, handler: Handler) -> None:
        received = call.received
        loop = asyncio.get_running_loop()
        if received.inbox in self._cancelled:
            raise ReaderGone
        context = context_of(received.headers, call.operation, self._settings, call.request_id, call.arrived)
        context = msgspec.structs.replace(context, leave=partial(self._leave_place, call))
        if received.error is not None:
            raise received.error
        if self._waiting >= self._most_waiting:
            self._metrics.count("cdp_requests_shed_total", call.operation.id)
            raise Unavailable("too many requests are waiting", retry_after=1)
        call.deadline = context.deadline
        if context.deadline <= loop.time():
            raise DeadlineExceeded("the time given for the answer was over on arrival")
        try:
            async with asyncio.timeout_at(context.deadline) as call.scope:
                await self._take_place(call)
                try:
                    result = await handler(received.request, context)
                    await send_result(result, call, context, self._open_stream, self._publish)
                finally:
                    self._leave_place(call)
        except TimeoutError as error:
            if call.cancelled:
                raise ReaderGone from error
            if call.stopping:
                raise Unavailable("the service is stopping", retry_after=1) from error
            if call.scope is None or not call.scope.expired():
                raise
            raise DeadlineExceeded("the time given for the answer is over") from error

    async def _take_place(self, call: ActiveCall) -> None:
        self._waiting += 1
        self._metrics.add("cdp_requests_waiting", 1)
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
            self._metrics.add("cdp_requests_waiting", -1)
        call.has_place = True
        self._metrics.add("cdp_requests_in_flight", 1)

    def _leave_place(self, call: ActiveCall) -> None:
        if call.has_place:
            call.has_place = False
            self._places.release()
            self._metrics.add("cdp_requests_in_flight", -1)

    def _open_stream(self, call: ActiveCall, headers: Mapping[str, str]) -> FrameWriter:
        """Begin to send frames. The call leaves its place to others: it now lasts as long as its reader likes.

        Raises:
            Unavailable: half as many streams as places are open.
        """
        if len(self._by_credit) >= self._most_streams:
            raise Unavailable("too many answers are being streamed", retry_after=1)
        self._leave_place(call)
        self._numbers += 1
        token = f"{self._numbers:x}"
        call.writer = FrameWriter(
            self._publish, call.received.inbox, self._credit_prefix + token, headers, call.deadline
        )
        self._by_credit[token] = call
        return call.writer

    async def _fail(self, call: ActiveCall, error: CdpError) -> None:
        """Say what went wrong: in the end frame when a stream has begun, else as the reply."""
        try:
            if call.writer is not None and call.writer.frames:
                await call.writer.fail(error, call.request_id)
            else:
                headers, body = encode_error(error, call.request_id)
                await self._publish(call.received.inbox, body, headers)
        except ReaderGone:
            call.cancelled = True

    async def _publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Publish a part of a reply.

        Raises:
            ReaderGone: the connection is down, and with it the way to the caller.
        """
        if not subject:
            return  # a message that asked for no reply
        assert self._connection is not None
        try:
            await self._connection.publish(subject, body, headers=dict(headers))
        except nats.errors.Error as error:
            raise ReaderGone from error

    async def _credited(self, message: Msg) -> None:
        call = self._by_credit.get(message.subject[len(self._credit_prefix) :])
        if call is not None and call.writer is not None and message.data.isdigit() and len(message.data) <= 12:
            call.writer.credit(int(message.data))

    async def _cancel(self, message: Msg) -> None:
        inbox = message.data[:_LONGEST_INBOX].decode("utf-8", "replace")
        found = [call for call in self._active if call.received.inbox == inbox]
        for call in found:
            call.stop(asyncio.get_running_loop().time())
        if inbox and not found:
            self._cancelled[inbox] = None  # not here, or not here yet
            if len(self._cancelled) > _CANCELLED_KEPT:
                del self._cancelled[next(iter(self._cancelled))]

    async def beat(self) -> None:
        """Run until cancelled: tell callers that the work goes on, stop streams whose reader is dead."""
        loop = asyncio.get_running_loop()
        assert self._connection is not None
        while True:
            await asyncio.sleep(BEAT)
            now = loop.time()
            broken = self._connection.stats["reconnects"] != self._reconnects or not self._connection.is_connected
            self._reconnects = self._connection.stats["reconnects"]
            for call in list(self._active):
                if call.writer is not None and (broken or now - call.writer.heard > SILENCE):
                    call.stop(now)  # frames were lost, or nobody reads them
                elif now - call.arrived >= BEAT and call.received.headers.get(names.STREAM) == "1":
                    await self._alive(call)

    async def _alive(self, call: ActiveCall) -> None:
        try:
            if call.writer is not None:
                await call.writer.alive()
            else:
                await self._publish(call.received.inbox, b"", {names.FRAME: ALIVE})
        except ReaderGone:
            call.stop(asyncio.get_running_loop().time())

    async def finish(self, timeout: float) -> None:
        """Wait for the calls in flight; after `timeout` seconds stop them with Unavailable."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        for call in list(self._active):
            call.stop(asyncio.get_running_loop().time(), stopping=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
