"""The gateway's metrics: every name once, with what it means. Labels name operations, never paths or workspaces.

Requests are counted here in plain numbers and turned into samples when they are scraped: prometheus_client's own
counters take locks and cost a cached answer a twentieth of its time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from services.kit.metrics import BUCKETS


class CacheFacts(NamedTuple):
    """What the cache is asked at each scrape."""

    bytes: Callable[[], float]
    entries: Callable[[], float]
    evictions: Callable[[], float]
    redis_up: Callable[[], float]
    redis_failures: Callable[[], float]
    flights: Callable[[], float]


class _Durations:
    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0


class HttpMetrics(Collector):
    """One gateway process's metrics. Make it after a fork; not for threads."""

    def __init__(self, cache: CacheFacts):
        self.in_flight = 0
        self._requests: defaultdict[tuple[str, int, str], int] = defaultdict(int)
        self._durations: defaultdict[str, _Durations] = defaultdict(_Durations)
        self._stream_bytes: defaultdict[str, int] = defaultdict(int)
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(self)
        for name, help_, read in (
            ("cdp_cache_bytes", "Bytes in the memory level", cache.bytes),
            ("cdp_cache_entries", "Answers in the memory level", cache.entries),
            ("cdp_cache_evictions", "Answers that left the memory level for want of room", cache.evictions),
            ("cdp_cache_redis_up", "1 while Redis answers; 0: answers are computed more often", cache.redis_up),
            ("cdp_cache_redis_failures", "Redis commands that failed", cache.redis_failures),
            ("cdp_cache_flights", "Computations that requests are waiting for", cache.flights),
        ):
            Gauge(name, help_, registry=registry).set_function(read)

    def request(self, operation: str, status: int, cache: str, seconds: float) -> None:
        """Count one answered request."""
        self._requests[operation, status, cache] += 1
        durations = self._durations[operation]
        durations.buckets[bisect_left(BUCKETS, seconds)] += 1
        durations.sum += seconds

    def streamed(self, operation: str, size: int) -> None:
        """Count the bytes of a streamed answer."""
        self._stream_bytes[operation] += size

    def collect(self) -> Iterable[Metric]:
        """Return the samples (prometheus_client's interface)."""
        requests = CounterMetricFamily(
            "cdp_http_requests",
            "Requests answered; status 499: the client left first",
            labels=("operation", "status", "cache"),
        )
        for (operation, status, cache), count in self._requests.items():
            requests.add_metric((operation, str(status), cache), count)
        seconds = HistogramMetricFamily(
            "cdp_http_request_seconds",
            "Time from a request's arrival to its answer, or to the end of its stream",
            labels=("operation",),
        )
        bounds = [*(str(float(bound)) for bound in BUCKETS), "+Inf"]
        for operation, durations in self._durations.items():
            counts = [float(count) for count in accumulate(durations.buckets)]
            seconds.add_metric((operation,), list(zip(bounds, counts, strict=True)), sum_value=durations.sum)
        streamed = CounterMetricFamily(
            "cdp_http_stream_bytes", "Bytes of streamed answers passed on", labels=("operation",)
        )
        for operation, size in self._stream_bytes.items():
            streamed.add_metric((operation,), size)
        in_flight = GaugeMetricFamily("cdp_http_requests_in_flight", "Requests being worked on", value=self.in_flight)
        return requests, seconds, streamed, in_flight

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self._registry)
