"""The gateway's metrics: every name once, with what it means. Labels name operations, never paths or workspaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from services.kit.metrics import BUCKETS


class CacheFacts(NamedTuple):
    """What the cache is asked at each scrape."""

    bytes: Callable[[], float]
    entries: Callable[[], float]
    evictions: Callable[[], float]
    redis_up: Callable[[], float]
    redis_failures: Callable[[], float]
    flights: Callable[[], float]


class HttpMetrics:
    """One gateway process's metrics. Make it after a fork."""

    def __init__(self, cache: CacheFacts):
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "cdp_http_requests_total",
            "Requests answered; status 499: the client left first",
            ("operation", "status", "cache"),
            registry=registry,
        )
        self._seconds = Histogram(
            "cdp_http_request_seconds",
            "Time from a request's arrival to its answer, or to the end of its stream",
            ("operation",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._bytes = Counter(
            "cdp_http_stream_bytes_total", "Bytes of streamed answers passed on", ("operation",), registry=registry
        )
        self.in_flight = Gauge("cdp_http_requests_in_flight", "Requests being worked on", registry=registry)
        for name, help_, read in (
            ("cdp_cache_bytes", "Bytes in the memory level", cache.bytes),
            ("cdp_cache_entries", "Answers in the memory level", cache.entries),
            ("cdp_cache_evictions", "Answers that left the memory level for want of room", cache.evictions),
            ("cdp_cache_redis_up", "1 while Redis answers; 0: answers are computed more often", cache.redis_up),
            ("cdp_cache_redis_failures", "Redis commands that failed", cache.redis_failures),
            ("cdp_cache_flights", "Computations that requests are waiting for", cache.flights),
        ):
            Gauge(name, help_, registry=registry).set_function(read)
        # Finding a labelled child takes longer than counting on it.
        self._request_children: dict[tuple[str, int, str], Counter] = {}
        self._second_children: dict[str, Histogram] = {}

    def request(self, operation: str, status: int, cache: str, seconds: float) -> None:
        """Count one answered request."""
        key = (operation, status, cache)
        counter = self._request_children.get(key)
        if counter is None:
            counter = self._request_children[key] = self._requests.labels(operation, str(status), cache)
        counter.inc()
        histogram = self._second_children.get(operation)
        if histogram is None:
            histogram = self._second_children[operation] = self._seconds.labels(operation)
        histogram.observe(seconds)

    def streamed(self, operation: str, size: int) -> None:
        """Count the bytes of a streamed answer."""
        self._bytes.labels(operation).inc(size)

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self.registry)
