"""What the fleet says of itself: the NATS services protocol, health, metrics, logs and traces."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import aiohttp
import pytest
from aiohttp import web
from nats.aio.client import Client as Connection
from nats.errors import NoRespondersError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from contracts import headers as names
from contracts.errors import CdpError
from services.kit import logs, telemetry
from services.kit.fleet import fleet_app
from services.kit.health import ask_fleet, gather_metrics, round_trip
from services.kit.lifecycle import close_quietly, connect
from services.kit.rpc import RpcClient
from services.kit.service_app import ServiceApp
from services.kit.settings import Settings
from tests.integration import kit_probe as kit
from tests.integration.kit_probe import HEADERS, NatsServer, ProbeService, eventually, serving


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with kit.nats_server() as found:
        yield found


@pytest.fixture
async def connection(server: NatsServer) -> AsyncIterator[Connection]:
    found = await connect(Settings(nats_url=server.url), "test")
    yield found
    await close_quietly(found.close)


@pytest.fixture
def probes() -> list[ProbeService]:
    return [ProbeService(), ProbeService()]


@pytest.fixture
async def replicas(server: NatsServer, probes: list[ProbeService]) -> AsyncIterator[list[ServiceApp]]:
    settings = Settings(nats_url=server.url)
    async with serving(probes[0], settings) as first, serving(probes[1], settings) as second:
        yield [first, second]


async def _scatter(connection: Connection, subject: str) -> list[dict[str, object]]:
    subscription = await connection.subscribe(inbox := connection.new_inbox())
    await connection.publish(subject, reply=inbox)
    answers = []
    try:
        while True:
            answers.append(json.loads((await subscription.next_msg(timeout=0.3)).data))
    except TimeoutError:
        await subscription.unsubscribe()
        return answers


async def test_each_replica_answers_the_services_protocol(connection: Connection, replicas: list[ServiceApp]) -> None:
    pings = await _scatter(connection, "$SRV.PING")
    assert {ping["id"] for ping in pings} == {app.instance for app in replicas}
    for ping in pings:
        assert ping.keys() == {"type", "name", "id", "version", "metadata"}
        assert ping["type"] == "io.nats.micro.v1.ping_response"
        assert ping["name"] == "probe"
        assert re.fullmatch(r"\d+\.\d+\.\d+", str(ping["version"]))
    assert len(await _scatter(connection, "$SRV.PING.probe")) == 2
    one = await _scatter(connection, f"$SRV.PING.probe.{replicas[1].instance}")
    assert [ping["id"] for ping in one] == [replicas[1].instance]
    with pytest.raises(NoRespondersError):
        await connection.request("$SRV.PING.other")


async def test_info_lists_the_endpoints_with_their_schemas(connection: Connection, replicas: list[ServiceApp]) -> None:
    info = (await _scatter(connection, f"$SRV.INFO.probe.{replicas[0].instance}"))[0]
    assert info["type"] == "io.nats.micro.v1.info_response"
    assert info["description"]
    endpoints = info["endpoints"]
    assert isinstance(endpoints, list)
    assert [endpoint["subject"] for endpoint in endpoints] == [operation.subject for operation in kit.OPERATIONS]
    assert all(endpoint["queue_group"] == "probe" for endpoint in endpoints)
    assert all(re.fullmatch("[0-9a-f]{16}", endpoint["metadata"]["schema"]) for endpoint in endpoints)


async def test_stats_count_requests_errors_and_time(connection: Connection, replicas: list[ServiceApp]) -> None:
    client = RpcClient(connection)
    await client.start()
    for _ in range(3):
        await client.call(kit.WAIT, b'{"seconds":0.02}', HEADERS, 5)
    for operation in (kit.CRASH, kit.FAIL):
        with pytest.raises(CdpError):
            await client.call(operation, b"{}", HEADERS, 5)
    await client.close()
    stats = await _scatter(connection, "$SRV.STATS.probe")
    assert all(replica["type"] == "io.nats.micro.v1.stats_response" for replica in stats)
    assert all(datetime.fromisoformat(str(replica["started"])) for replica in stats)
    found: dict[str, list[dict[str, int]]] = {}
    for replica in stats:
        assert isinstance(replica["endpoints"], list)
        for endpoint in replica["endpoints"]:
            found.setdefault(endpoint["name"], []).append(endpoint)
    assert sum(endpoint["num_requests"] for endpoint in found["wait"]) == 3
    assert sum(endpoint["processing_time"] for endpoint in found["wait"]) >= 60_000_000
    assert sum(endpoint["num_errors"] for endpoint in found["crash"]) == 1
    assert sum(endpoint["num_errors"] for endpoint in found["fail"]) == 0  # the caller's mistake, not the service's
    for endpoint in found["wait"]:
        if endpoint["num_requests"]:
            average = endpoint["processing_time"] // endpoint["num_requests"]
            assert endpoint["average_processing_time"] == average


async def test_the_fleet_is_asked_for_its_health(
    connection: Connection, replicas: list[ServiceApp], probes: list[ProbeService]
) -> None:
    probes[1].healthy = False
    found = {replica.instance: replica for replica in await ask_fleet(connection)}
    healthy, ill = (found[app.instance] for app in replicas)
    assert healthy.ready
    assert [dependency.name for dependency in healthy.dependencies] == ["nats", "store"]
    assert not ill.ready
    assert [(dependency.ready, dependency.problem) for dependency in ill.dependencies] == [
        (True, None),
        (False, "ConnectionRefusedError"),
    ]


async def test_a_dependency_that_hangs_is_reported_in_time(connection: Connection, server: NatsServer) -> None:
    probe = ProbeService()

    async def hang() -> None:
        await asyncio.sleep(60)

    probe.check = hang  # type: ignore[method-assign]
    async with serving(probe, Settings(nats_url=server.url)):
        (replica,) = await ask_fleet(connection, expected=["probe"])
        assert replica.dependencies[1].problem == "timeout"


async def test_a_health_check_that_gives_up_on_nats_leaves_the_connection_working(connection: Connection) -> None:
    for _ in range(20):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await round_trip(connection)
    async with asyncio.timeout(1):
        assert await round_trip(connection) > 0


async def test_with_the_services_known_the_answer_does_not_wait(
    connection: Connection, replicas: list[ServiceApp]
) -> None:
    async with asyncio.timeout(1):
        assert await ask_fleet(connection, 30, expected=["probe"])


async def test_an_empty_fleet_is_known_at_once(connection: Connection) -> None:
    async with asyncio.timeout(1):
        assert await ask_fleet(connection, 30) == []
        assert await gather_metrics(connection, 30) == []


async def test_one_http_endpoint_shows_all_processes(
    connection: Connection, replicas: list[ServiceApp], probes: list[ProbeService]
) -> None:
    client = RpcClient(connection)
    await client.start()
    await client.call(kit.ECHO, b"{}", HEADERS, 5)
    await client.close()
    runner = web.AppRunner(fleet_app(connection))
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with aiohttp.ClientSession() as http:
        async with http.get(base + "/health") as response:
            assert response.status == 200
        async with http.get(base + "/ready") as response:
            body = await response.json()
            assert (response.status, body["ready"], len(body["replicas"])) == (200, True, 2)
        async with http.get(base + "/metrics") as response:
            text = await response.text()
        for app in replicas:
            assert f'instance="{app.instance}"' in text
        assert 'operation="probe.echo"' in text
        assert str(kit.WORKSPACE) not in text
        for probe in probes:
            probe.healthy = False
        async with http.get(base + "/ready") as response:
            assert response.status == 503
    await runner.cleanup()


async def test_each_request_is_one_access_line_without_its_content(
    connection: Connection, replicas: list[ServiceApp], caplog: pytest.LogCaptureFixture
) -> None:
    client = RpcClient(connection)
    await client.start()
    with caplog.at_level(logging.INFO, "cdp"):
        await client.call(kit.ECHO, b'{"text":"ada@example.com"}', {**HEADERS, names.REQUEST_ID: "r-5"}, 5)
        await eventually(lambda: any(record.message == "request" for record in caplog.records))
    await client.close()
    (record,) = [record for record in caplog.records if record.message == "request"]
    fields = record.fields  # type: ignore[attr-defined]
    assert fields["operation"] == "probe.echo"
    assert fields["status"] == 200
    assert fields["workspace"] == str(kit.WORKSPACE)
    assert fields["elapsed_ms"] >= 0
    assert "ada@example.com" not in logs.JsonFormatter("probe", "i").format(record)


async def test_spans_of_caller_and_service_share_one_trace(connection: Connection, server: NatsServer) -> None:
    received: list[ExportTraceServiceRequest] = []

    async def collect(request: web.Request) -> web.Response:
        received.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(collector)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(ProbeService(), Settings(nats_url=server.url, otlp_endpoint=endpoint)):
        client = RpcClient(connection)
        await client.start()
        parent = {names.TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        with telemetry.span("POST /probe/echo", kind="server", parent=parent):
            await client.call(kit.ECHO, b"{}", HEADERS, 5)
        await client.close()
        await asyncio.to_thread(telemetry.shutdown)
    await runner.cleanup()
    spans = [
        span
        for export in received
        for resource in export.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {span.trace_id.hex() for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    http, call, handled = sorted(spans, key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in (http, call, handled)] == ["POST /probe/echo", "probe.echo", "probe.echo"]
    assert call.parent_span_id == http.span_id
    assert handled.parent_span_id == call.span_id
    attributes = {attribute.key: attribute.value.int_value for attribute in handled.attributes}
    assert attributes["cdp.status"] == 200


def test_without_a_collector_no_tracing_is_loaded() -> None:
    code = (
        "import sys\n"
        "from services.kit import fleet, service, telemetry\n"
        "telemetry.configure('', 'query', 'i')\n"
        "with telemetry.span('anything') as span:\n"
        "    assert span is None and telemetry.inject() == {}\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=kit.PROJECT)
