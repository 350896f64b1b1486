"""Traces, when a collector is configured. Off, nothing of OpenTelemetry is imported and a span costs a comparison."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

Kind = Literal["internal", "server", "client"]

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def configure(endpoint: str, service: str, instance: str) -> None:
    """Send spans to the OTLP/HTTP collector at `endpoint` (``http://host:4318``); '' turns tracing off.

    Call after a fork and before the first span: exporting starts a thread.
    """
    global _provider, _tracer
    shutdown()
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(
        {"service.name": f"cdp-{service}", "service.instance.id": instance, "process.pid": os.getpid()}
    )
    _provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=5)
    _provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    _tracer = _provider.get_tracer("cdp")


def shutdown() -> None:
    """Send what is left and turn tracing off. Blocks for the sending, at most some seconds."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def enabled() -> bool:
    """Return whether spans are recorded."""
    return _tracer is not None


@contextmanager
def span(
    name: str, *, kind: Kind = "internal", parent: Mapping[str, str] | None = None, attributes: Mapping[str, Any] = {}
) -> Iterator[Span | None]:
    """Run the block in a span and yield it, None when tracing is off.

    `name` is an operation (``query.events``, ``POST /query/events``), never a concrete subject or path. `parent`:
    headers with the `traceparent` of the caller; without, the span of the surrounding block is the parent.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # Name by name: HTTP's headers come in any case, which a plain copy of them would keep.
    known = {name: parent[name] for name in ("traceparent", "tracestate") if name in parent} if parent else {}
    context = TraceContextTextMapPropagator().extract(known) if parent is not None else None
    kinds = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
    with _tracer.start_as_current_span(name, context=context, kind=kinds[kind], attributes=dict(attributes)) as current:
        yield current


def inject() -> dict[str, str]:
    """Return the headers (`traceparent`, `tracestate`) that carry the current span to the next process."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier
