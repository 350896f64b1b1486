"""A service made for the tests of the kit, and what they need to run it: `python -m tests.integration.kit_probe`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

from contracts import headers as names
from contracts.base import Message
from contracts.caching import CachePolicy
from contracts.errors import NotFound
from contracts.operation import Operation
from services.kit.lifecycle import instance_id
from services.kit.service import Answer, RequestContext, Service, Stream, run
from services.kit.service_app import ServiceApp
from services.kit.settings import Settings, load

PROJECT = Path(__file__).resolve().parents[2]
WORKSPACE = UUID("00000000-0000-4000-8000-000000000001")
HEADERS = {names.WORKSPACE: str(WORKSPACE)}


class Probe(Message, frozen=True, kw_only=True):
    """`size` in bytes or blocks, `seconds` to wait; what each operation makes of them is its own."""

    text: str = ""
    size: int = 0
    seconds: float = 0.0


def _operation(name: str, *, idempotent: bool = True, streams: bool = False) -> Operation:
    return Operation(
        service="probe",
        name=name,
        method="POST",
        path=f"/probe/{name}",
        request=Probe,
        response=Probe,
        scope="probe",
        summary=name,
        idempotent=idempotent,
        formats=("json", "ndjson") if streams else ("json",),
    )


ECHO = _operation("echo")
WAIT = _operation("wait")
WRITE = _operation("write", idempotent=False)
FAIL = _operation("fail")
CRASH = _operation("crash")
BIG = _operation("big")
ROWS = _operation("rows", streams=True)
BREAK = _operation("break", streams=True)
OPERATIONS = (ECHO, WAIT, WRITE, FAIL, CRASH, BIG, ROWS, BREAK)
BLOCK = (b"x" * 99 + b"\n") * 2_000
"""200 kB, the size of one chunk of `rows`."""


class ProbeService:
    """The service's handlers; counts what they see."""

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0
        self.cancelled = 0
        self.chunks = 0
        self.contexts: list[RequestContext] = []
        self.healthy = True

    def service(self) -> Service:
        """Return it as the kit takes it."""
        handlers = {operation.name: getattr(self, operation.name + "_") for operation in OPERATIONS}
        return Service("probe", handlers, checks={"store": self.check}, operations=OPERATIONS)

    async def check(self) -> None:
        if not self.healthy:
            raise ConnectionRefusedError

    async def echo_(self, request: Probe, context: RequestContext) -> Probe:
        self.contexts.append(context)
        return request

    async def wait_(self, request: Probe, context: RequestContext) -> Probe:
        self.started += 1
        try:
            await asyncio.sleep(request.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.finished += 1
        return request

    async def write_(self, request: Probe, context: RequestContext) -> Probe:
        return await self.wait_(request, context)

    async def fail_(self, request: Probe, context: RequestContext) -> Probe:
        raise NotFound("no such thing", retry_after=7)

    async def crash_(self, request: Probe, context: RequestContext) -> Probe:
        raise RuntimeError("SELECT secret FROM internals")

    async def big_(self, request: Probe, context: RequestContext) -> Answer:
        return Answer(b"b" * request.size, "text/plain", CachePolicy(ttl=5))

    async def rows_(self, request: Probe, context: RequestContext) -> Stream:
        return Stream(self._blocks(request), "application/x-ndjson", totals=lambda: {"rows": request.size * 2_000})

    async def break_(self, request: Probe, context: RequestContext) -> Stream:
        return Stream(self._broken(request), "application/x-ndjson")

    async def _blocks(self, request: Probe) -> AsyncIterator[bytes]:
        self.started += 1
        try:
            for _ in range(request.size):
                if request.seconds:
                    await asyncio.sleep(request.seconds)
                self.chunks += 1
                yield BLOCK
            self.finished += 1
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled += 1
            raise

    async def _broken(self, request: Probe) -> AsyncIterator[bytes]:
        for _ in range(request.size):
            yield BLOCK
        raise NotFound("the store went away")


@contextlib.asynccontextmanager
async def serving(probe: ProbeService, settings: Settings) -> AsyncIterator[ServiceApp]:
    """Serve in this event loop."""
    app = ServiceApp(probe.service(), settings, instance_id())
    async with app.running():
        yield app


class NatsServer:
    """A nats-server of a test's own, which may be killed and started again on the same port."""

    def __init__(self, *options: str) -> None:
        self._options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert command is not None, "the nats-server wheel is not installed"
        self._process = subprocess.Popen(
            [command, "-a", "127.0.0.1", "-p", str(self.port), *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "nats-server did not start"
                time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def nats_server(*options: str) -> Iterator[NatsServer]:
    """Run a nats-server on a free port."""
    server = NatsServer(*options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Process:
    """The probe service in a process of its own."""

    def __init__(self, url: str, command: list[str]):
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process; a pipe nobody reads would fill, and block the service
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "ANALYTICS_NATS_URL": url},
            stderr=self._log,
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    async def leave(self) -> int:
        """Ask it to stop and return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, 20)

    def log(self) -> list[dict[str, object]]:
        """Return the lines it has logged."""
        self._log.seek(0)
        return [json.loads(line) for line in self._log]


@contextlib.contextmanager
def process(url: str, *command: str) -> Iterator[Process]:
    """Run the probe service, or `command`, in a process of its own; kill it at the end."""
    found = Process(url, list(command) or ["-m", "tests.integration.kit_probe"])
    try:
        yield found
    finally:
        found.kill()


async def eventually(condition: object, seconds: float = 20.0) -> None:
    """Wait until `condition()` is true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    run(ProbeService().service(), load())
