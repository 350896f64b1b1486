"""Metrics: every name once, with what it means. Labels name operations, never subjects, workspaces or people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

Name = Literal[
    "cdp_requests_total",
    "cdp_request_seconds",
    "cdp_requests_in_flight",
    "cdp_requests_waiting",
    "cdp_requests_shed_total",
    "cdp_requests_cancelled_total",
    "cdp_reply_bytes_total",
    "cdp_reply_frames_total",
    "cdp_nats_disconnects_total",
    "cdp_profiles_written_total",
    "cdp_profiles_removed_total",
    "cdp_profile_step_seconds",
]


class Definition(NamedTuple):
    """What a metric is. The kind follows from the name (`_total` counts, `_seconds` is a histogram, else a gauge)."""

    help: str
    labels: tuple[str, ...] = ()


DEFINITIONS: Final[Mapping[Name, Definition]] = MappingProxyType(
    {
        "cdp_requests_total": Definition("Requests answered, by HTTP-like status", ("operation", "status")),
        "cdp_request_seconds": Definition("Time from arrival to the end of the answer", ("operation",)),
        "cdp_requests_in_flight": Definition("Requests a handler is working on"),
        "cdp_requests_waiting": Definition("Requests waiting for a free place; growing: add replicas"),
        "cdp_requests_shed_total": Definition("Requests refused because too many were waiting", ("operation",)),
        "cdp_requests_cancelled_total": Definition("Requests stopped because their caller went away", ("operation",)),
        "cdp_reply_bytes_total": Definition("Bytes of answers", ("operation",)),
        "cdp_reply_frames_total": Definition("Frames of streamed answers", ("operation",)),
        "cdp_nats_disconnects_total": Definition("Times the connection to NATS broke"),
        "cdp_profiles_written_total": Definition("Profiles made or changed"),
        "cdp_profiles_removed_total": Definition("Profiles that merged into others, or of whom nothing was left"),
        "cdp_profile_step_seconds": Definition(
            "Time from finding new events to their profiles being written; a second more is how late profiles are"
        ),
    }
)
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class Metrics:
    """One process's metrics. Make it after a fork: it holds the process's own numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._children: dict[tuple[str, ...], Any] = {}
        for name, definition in DEFINITIONS.items():
            if name.endswith("_total"):
                self._counters[name] = Counter(name, definition.help, definition.labels, registry=self.registry)
            elif name.endswith("_seconds"):
                self._histograms[name] = Histogram(
                    name, definition.help, definition.labels, buckets=BUCKETS, registry=self.registry
                )
            else:
                self._gauges[name] = Gauge(name, definition.help, definition.labels, registry=self.registry)

    def count(self, name: Name, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        self._child(self._counters[name], name, labels).inc(by)

    def add(self, name: Name, by: float) -> None:
        """Move a gauge up or down."""
        self._gauges[name].inc(by)

    def observe(self, name: Name, seconds: float, *labels: str) -> None:
        """Put a duration into a histogram."""
        self._child(self._histograms[name], name, labels).observe(seconds)

    def _child(self, metric: Any, name: str, labels: tuple[str, ...]) -> Any:
        # Looked up on every request; prometheus_client's own look-up checks the labels again each time.
        if not labels:
            return metric
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self.registry)
