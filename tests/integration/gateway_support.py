"""Gateways against a real NATS and Redis, with a small responder in the services' place that counts its calls."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import nats
from aiohttp import web
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts import headers as names
from contracts import subjects
from contracts.base import encode
from contracts.caching import CachePolicy
from contracts.errors import CdpError
from contracts.operations import OPERATIONS
from deploy.embedded.home import Home
from deploy.embedded.stores.selection import embedded_stores, spare_ports
from gateway.gateway import Gateway
from gateway.main import new_runner
from services.kit.lifecycle import synchronize
from services.kit.rpc_errors import encode_error
from services.kit.settings import Settings
from services.kit.streaming import FrameWriter
from tests.infra import EmbeddedServers

WORKSPACE = "11111111-2222-3333-4444-555555555555"
ASK = {"table": "track", "limit": 3}


@contextmanager
def nats_and_redis() -> Iterator[EmbeddedServers]:
    """Run the two servers a gateway needs, in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="cdp-gateway-"))
    home = Home.at(folder)
    servers = EmbeddedServers(home, embedded_stores(home, ("clickhouse_url", "postgres_url"), spare_ports()))
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Responder:
    """Answers every operation. `respond` decides how; by default a body that counts the calls."""

    def __init__(self, connection: Client):
        self.connection = connection
        self.calls = 0
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.cancelled: list[str] = []
        self.sent = 0
        """Bytes handed to NATS by the latest stream."""
        self.policy: CachePolicy | None = CachePolicy(ttl=60)
        self.delay = 0.0
        self.respond: Callable[[Msg], Awaitable[None]] = self.count
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: dict[str, FrameWriter] = {}

    async def start(self) -> None:
        """Subscribe."""
        for operation in OPERATIONS:
            await self.connection.subscribe(operation.subject, queue=operation.service, cb=self._received)
        await self.connection.subscribe(subjects.CANCEL, cb=self._cancel)
        await synchronize(self.connection)

    async def _received(self, message: Msg) -> None:
        self.calls += 1
        self.bodies.append(message.data)
        self.headers.append(dict(message.headers or {}))
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Msg) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self.respond(message)

    async def _cancel(self, message: Msg) -> None:
        inbox = message.data.decode()
        self.cancelled.append(inbox)
        if inbox in self._writers:
            self._writers[inbox].close()

    async def count(self, message: Msg) -> None:
        """Reply with the number of the call."""
        await self.reply(message, encode({"call": self.calls}))

    async def reply(self, message: Msg, body: bytes) -> None:
        """Reply with a whole answer under the present policy."""
        headers = {names.CONTENT_TYPE: "application/json"}
        if self.policy is not None:
            headers[names.CACHE] = self.policy.header()
        await self.connection.publish(message.reply, body, headers=headers)

    async def stream(
        self, message: Msg, chunks: AsyncIterator[bytes], content_type: str, error: CdpError | None = None
    ) -> None:
        """Reply in frames, ending with `error` if given."""
        inbox, credit = message.reply, self.connection.new_inbox()

        async def publish(subject: str, data: bytes, headers: Any) -> None:
            await self.connection.publish(subject, bytes(data), headers=dict(headers))

        deadline = asyncio.get_running_loop().time() + 120
        headers = {names.CONTENT_TYPE: content_type}
        writer = self._writers[inbox] = FrameWriter(publish, inbox, credit, headers, deadline)

        async def credited(report: Msg) -> None:
            writer.credit(int(report.data))

        subscription = await self.connection.subscribe(credit, cb=credited)
        try:
            async for chunk in chunks:
                await writer.send(chunk)
                self.sent += len(chunk)
            if error is None:
                await writer.end({})
            else:
                await writer.fail(error, "")
        finally:
            await subscription.unsubscribe()

    async def fail(self, message: Msg, error: CdpError) -> None:
        """Reply with an error."""
        headers, body = encode_error(error)
        await self.connection.publish(message.reply, body, headers=headers)


@asynccontextmanager
async def responder(settings: Settings) -> AsyncIterator[Responder]:
    """Run a responder on a connection of its own."""
    connection = await nats.connect(settings.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    answering = Responder(connection)
    await answering.start()
    try:
        yield answering
    finally:
        await connection.close()


class Served:
    """A gateway on a port, and a client for it."""

    def __init__(self, gateway: Gateway, session: aiohttp.ClientSession, port: int):
        self.gateway = gateway
        self.session = session
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.workspace = fresh_workspace()
        """Its own, so that what another test left in Redis is not found."""

    def ask(self, body: Any = ASK, path: str = "/query/events", **headers: str) -> Any:
        """Post a request; use as an async context manager. Header names: `_` stands for `-`."""
        sent = {"X-Workspace-Id": self.workspace, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else encode(body)
        return self.session.post(self.url + path, data=data, headers=sent)


@asynccontextmanager
async def serving(settings: Settings, *, wait: bool = True, **changes: Any) -> AsyncIterator[Served]:
    """Run a gateway in this process, by default until it reached NATS and Redis."""
    settings = replace(settings, **changes)
    gateway = Gateway(settings, instance=uuid4().hex)
    runner = new_runner(gateway, settings)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    await gateway.start()
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            served = Served(gateway, session, runner.addresses[0][1])
            if wait:
                await until(lambda: gateway.trust.hearing and gateway.remote.guard.up)
            yield served
    finally:
        await runner.cleanup()
        await gateway.close()


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


def fresh_workspace() -> str:
    """Return a workspace nobody has used."""
    return str(uuid4())


def as_uuid(workspace: str) -> UUID:
    """Return the workspace as the contracts hold it."""
    return UUID(workspace)
