"""What the kit says on the wire, without a wire."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from uuid import UUID

import pytest
from multidict import CIMultiDict
from opentelemetry.sdk.trace import TracerProvider

from contracts import headers as names
from contracts.base import decode
from contracts.errors import KINDS, CdpError, FieldError, Internal, InvalidRequest, NotAcceptable, TooManyRequests
from contracts.operations import BY_ID, OPERATIONS
from services.kit import logs, telemetry
from services.kit.clickhouse import ClickHouseError
from services.kit.fleet import is_ready, merge_metrics
from services.kit.health import ReplicaHealth, ReplicaMetrics
from services.kit.logs import JsonFormatter
from services.kit.metrics import DEFINITIONS, Metrics
from services.kit.rpc_errors import decode_error, encode_error
from services.kit.service import Service
from services.kit.service_call import ActiveCall
from services.kit.service_request import Received, context_of, request_id_of
from services.kit.settings import Settings
from services.kit.streaming import FRAME_BYTES, WINDOW_BYTES, FrameWriter, ReaderGone

EVENTS = BY_ID["query.events"]
WORKSPACE = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_survives_the_wire(kind: type[CdpError]) -> None:
    error = kind("why", errors=(FieldError(message="bad", pointer="/a"),), retry_after=2.5)
    headers, body = encode_error(error, "r-1")
    back = decode_error(headers, body)
    assert type(back) is kind
    assert (back.detail, back.errors, back.retry_after) == (error.detail, error.errors, 2.5)
    assert headers[names.ERROR_CODE] == str(kind.status)
    assert headers[names.REQUEST_ID] == "r-1"


def test_a_reply_without_error_headers_is_no_error() -> None:
    assert decode_error({names.CONTENT_TYPE: "application/json"}, b"{}") is None


def test_a_foreign_error_reply_becomes_internal() -> None:
    error = decode_error({names.ERROR: "boom", names.ERROR_CODE: "500", names.RETRY_AFTER: "soon"}, b"\xff")
    assert isinstance(error, Internal)
    assert error.detail == "boom"


def test_an_error_from_a_newer_service_may_say_more() -> None:
    headers, body = encode_error(TooManyRequests("slow down"))
    assert isinstance(decode_error(headers, body[:-1] + b',"more":1}'), TooManyRequests)


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "grüß", "a\n"])
def test_an_unusable_request_id_is_replaced(given: str) -> None:
    assert request_id_of({names.REQUEST_ID: given}) != given


def context(**headers: str) -> object:
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    return context_of({names.WORKSPACE: WORKSPACE, **found}, EVENTS, Settings(), "r", 100.0)


def test_the_context_is_read_from_the_headers() -> None:
    found = context_of(
        {
            names.WORKSPACE: WORKSPACE,
            names.STREAM: "1",
            names.ACCEPT: "csv",
            names.TIMEOUT: "1500",
            names.NOW: "2026-05-01T10:00:00+02:00",
        },
        EVENTS,
        Settings(),
        "r",
        100.0,
    )
    assert found.workspace == UUID(WORKSPACE)
    assert (found.format, found.stream, found.deadline) == ("csv", True, 101.5)
    assert found.now is not None
    assert found.now.isoformat() == "2026-05-01T08:00:00+00:00"


@pytest.mark.parametrize("given", ["a\0b", "a\nb", "x" * 257])
def test_a_principal_that_no_record_can_hold_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequest, match="Cdp-Principal"):
        context(Cdp_Principal=given)


def test_a_deadline_is_bounded_by_the_settings() -> None:
    settings = Settings(request_timeout_seconds=5, stream_timeout_seconds=50)
    headers = {names.WORKSPACE: WORKSPACE}
    assert context_of(headers, EVENTS, settings, "r", 0.0).deadline == 5
    assert context_of({**headers, names.TIMEOUT: "999999999"}, EVENTS, settings, "r", 0.0).deadline == 5
    streaming = {**headers, names.TIMEOUT: "999999999", names.STREAM: "1"}
    assert context_of(streaming, EVENTS, settings, "r", 0.0).deadline == 50


@pytest.mark.parametrize("timeout", ["", "-1", "1.5", "²", "9" * 13, "soon"])
def test_a_malformed_timeout_is_refused(timeout: str) -> None:
    with pytest.raises(InvalidRequest, match="Cdp-Timeout"):
        context(Cdp_Timeout=timeout)


def test_a_format_the_operation_lacks_is_not_acceptable() -> None:
    with pytest.raises(NotAcceptable, match="json, ndjson"):
        context(Cdp_Accept="xml")


def test_a_service_must_handle_exactly_its_operations() -> None:
    with pytest.raises(ValueError, match="catalog"):
        Service("query", {"events": _handler})


async def _handler(request: object, context: object) -> None:
    return None


class Inbox:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, Mapping[str, str]]] = []

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.messages.append((subject, bytes(body), headers))


async def test_a_writer_waits_when_its_reader_is_a_window_behind() -> None:
    inbox = Inbox()
    writer = FrameWriter(inbox.publish, "inbox", "credit.1", {names.CONTENT_TYPE: "text/csv"}, math.inf)
    sending = asyncio.create_task(writer.send(b"x" * (WINDOW_BYTES + 3 * FRAME_BYTES)))
    await asyncio.sleep(0.01)
    window = WINDOW_BYTES // FRAME_BYTES
    assert len(inbox.messages) == window
    writer.credit(2)
    await asyncio.sleep(0.01)
    assert len(inbox.messages) == window + 2
    writer.credit(1)  # late
    writer.credit(2)  # repeated, as a sign of life
    await asyncio.sleep(0.01)
    assert len(inbox.messages) == window + 2
    writer.credit(99)
    await sending
    assert [message[2][names.FRAME] for message in inbox.messages] == [str(number) for number in range(window + 3)]
    assert [names.CONTENT_TYPE in message[2] for message in inbox.messages[:2]] == [True, False]


async def test_a_closed_writer_raises_to_its_source() -> None:
    inbox = Inbox()
    writer = FrameWriter(inbox.publish, "inbox", "credit.1", {}, math.inf)
    sending = asyncio.create_task(writer.send(b"x" * (WINDOW_BYTES + FRAME_BYTES)))
    await asyncio.sleep(0.01)
    writer.close()
    with pytest.raises(ReaderGone):
        await sending


async def test_a_writer_stops_at_the_deadline_even_when_its_task_is_not_cancelled() -> None:
    inbox = Inbox()
    deadline = asyncio.get_running_loop().time() + 0.05
    writer = FrameWriter(inbox.publish, "inbox", "credit.1", {}, deadline)
    with pytest.raises(TimeoutError):
        await writer.send(b"x" * (WINDOW_BYTES + FRAME_BYTES))
    writer.credit(99)
    with pytest.raises(TimeoutError):
        await writer.send(b"x")


async def test_the_end_frame_counts_the_frames_and_bytes_before_it() -> None:
    inbox = Inbox()
    writer = FrameWriter(inbox.publish, "inbox", "credit.1", {}, math.inf)
    await writer.send(b"abc")
    await writer.end({"rows": 7})
    _, body, headers = inbox.messages[-1]
    assert json.loads(body) == {"rows": 7, "frames": 1, "bytes": 3}
    assert headers[names.FRAME] == "end"


def test_a_log_line_is_one_json_object_with_the_request_it_belongs_to() -> None:
    record = logging.LogRecord("cdp", logging.INFO, "", 0, "request\n%s", ("x",), None)
    record.fields = {"operation": "query.events", "status": 200}
    token = logs.request_id.set("r-9")
    try:
        line = JsonFormatter("query", "i1").format(record)
    finally:
        logs.request_id.reset(token)
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "info",
        "service": "query",
        "instance": "i1",
        "message": "request\nx",
        "request_id": "r-9",
        "operation": "query.events",
        "status": 200,
    }


def test_a_logged_error_says_where_and_what_kind_but_quotes_nothing() -> None:
    secret = "ada@example.com"
    try:
        try:
            raise ValueError(f"WHERE user_id = '{secret}'")
        except ValueError as error:
            raise ClickHouseError(62, "SYNTAX_ERROR", f"failed at '{secret}'") from error
    except ClickHouseError as error:
        record = logging.LogRecord("cdp", logging.ERROR, "", 0, "handler failed", (), (type(error), error, None))
    text = json.loads(JsonFormatter("query", "i1").format(record))["error"]
    assert "ClickHouseError 62 SYNTAX_ERROR" in text
    assert "ValueError" in text
    assert "test_kit_wire.py" in text
    assert secret not in text


async def test_a_call_that_has_ended_can_be_stopped_again_without_harm() -> None:
    """The beat picks the calls whose reader is dead and waits between them: one may end meanwhile."""
    received = Received({}, "inbox", "r-1", None, None)
    call = ActiveCall(BY_ID["query.events"], received, 0.0)
    async with asyncio.timeout(10) as call.scope:
        pass
    call.ended = True
    call.stop(0.0)
    assert not call.cancelled


def test_a_trace_is_followed_however_its_header_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_tracer", TracerProvider().get_tracer("test"))
    headers = CIMultiDict({"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    with telemetry.span("query.events", parent=headers):
        assert telemetry.inject()["traceparent"].split("-")[1] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_every_metric_is_exported_with_its_help() -> None:
    metrics = Metrics()
    metrics.count("cdp_requests_total", "query.events", "200", by=2)
    metrics.observe("cdp_request_seconds", 0.02, "query.events")
    text = metrics.text().decode()
    for name, definition in DEFINITIONS.items():
        assert f"# HELP {name} {definition.help}" in text
    assert 'cdp_requests_total{operation="query.events",status="200"} 2.0' in text
    assert 'cdp_request_seconds_bucket{le="0.025",operation="query.events"} 1.0' in text


def test_metrics_of_a_fleet_are_one_text_with_a_label_for_each_process() -> None:
    replicas = []
    for instance in ("a", "b"):
        metrics = Metrics()
        metrics.count("cdp_requests_total", "query.events", "200", by=1)
        replicas.append(ReplicaMetrics(service="query", instance=instance, text=metrics.text().decode()))
    text = merge_metrics(replicas).decode()
    assert text.count("# HELP cdp_requests_total ") == 1
    for instance in ("a", "b"):
        labels = f'instance="{instance}",operation="query.events",service="query",status="200"'
        assert f"cdp_requests_total{{{labels}}} 1.0" in text


def test_a_fleet_is_ready_when_every_service_has_a_ready_replica() -> None:
    def replica(service: str, ready: bool) -> ReplicaHealth:
        body = {"service": service, "instance": "i", "ready": ready, "started": "2026-01-01T00:00:00Z"}
        return _health(body)

    assert not is_ready([])
    assert is_ready([replica("query", True), replica("query", False)])
    assert not is_ready([replica("query", True), replica("traits", False)])


def _health(body: dict[str, object]) -> ReplicaHealth:
    return decode(json.dumps({**body, "dependencies": []}).encode(), ReplicaHealth)


def test_operations_have_ids_that_are_safe_as_labels_and_span_names() -> None:
    assert all(operation.id.replace(".", "").replace("_", "").isalnum() for operation in OPERATIONS)
