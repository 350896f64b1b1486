"""Numbers of one endpoint, as the NATS services protocol reports them."""

from __future__ import annotations


class EndpointStats:
    """Counts since the process started. An error is an answer of status 500 or above."""

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.last_error = ""
        self.processing_ns = 0

    def record(self, seconds: float, status: int) -> None:
        """Count one answered request."""
        self.requests += 1
        self.processing_ns += int(seconds * 1e9)
        if status >= 500:
            self.errors += 1
            self.last_error = str(status)
