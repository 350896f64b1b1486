"""One call in flight in a service process, and what is noted of it at its end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from contracts import headers as names
from contracts.operation import Operation
from services.kit.logs import log
from services.kit.metrics import Metrics
from services.kit.micro_stats import EndpointStats
from services.kit.service_request import Received
from services.kit.streaming import FrameWriter

STATUS_CANCELLED: Final = 499
"""In logs and metrics only: nobody is there to read a reply."""


class ActiveCall:
    """One request from arrival to the end of its reply. Times are loop times."""

    def __init__(self, operation: Operation, received: Received, arrived: float):
        self.operation = operation
        self.received = received
        self.arrived = arrived
        self.request_id = received.request_id
        self.deadline = arrived
        self.scope: asyncio.Timeout | None = None
        self.writer: FrameWriter | None = None
        self.has_place = False
        """Counts among those being computed."""
        self.cancelled = False
        """Nobody waits for the answer any more."""
        self.stopping = False
        """This process must end."""
        self.ended = False
        """The handler is done, and so is what it sent."""
        self.sent_bytes = 0

    def stop(self, now: float, *, stopping: bool = False) -> None:
        """Cancel the handler: nobody waits for the answer, or (`stopping`) this process must end. Too late does no
        harm: the call may have ended since it was picked."""
        if self.ended:
            return
        self.cancelled = not stopping
        self.stopping = stopping
        if self.writer is not None:
            self.writer.close()
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(now)


def record(call: ActiveCall, status: int, metrics: Metrics, stats: EndpointStats) -> None:
    """Count the call and write its access line."""
    elapsed = asyncio.get_running_loop().time() - call.arrived
    operation = call.operation.id
    fields: dict[str, Any] = {"operation": operation, "status": status, "elapsed_ms": round(elapsed * 1000, 1)}
    if call.writer is not None:
        call.sent_bytes = call.writer.bytes
        fields["frames"] = call.writer.frames
        metrics.count("cdp_reply_frames_total", operation, by=call.writer.frames)
    if workspace := call.received.headers.get(names.WORKSPACE):
        fields["workspace"] = workspace[:36]
    metrics.count("cdp_requests_total", operation, str(status))
    metrics.count("cdp_reply_bytes_total", operation, by=call.sent_bytes)
    metrics.observe("cdp_request_seconds", elapsed, operation)
    if status == STATUS_CANCELLED:
        metrics.count("cdp_requests_cancelled_total", operation)
    stats.record(elapsed, status)
    log(logging.INFO, "request", bytes=call.sent_bytes, **fields)
