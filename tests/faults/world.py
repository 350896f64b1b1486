"""Servers, a query service and a gateway that nobody restarts: what is killed stays away until the test ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from services.kit.settings import Settings
from tests.faults.load import DEADLINE
from tests.infra import EmbeddedServers, embedded_servers
from tests.platform import MODULES, Platform, running

SERVERS = ("nats", "redis", "postgres", "clickhouse")


@dataclass
class World:
    """All processes by name: the four servers, the services and `gateway`."""

    servers: EmbeddedServers
    platform: Platform

    def pids(self) -> dict[str, int]:
        """Return the process ids of those that run."""
        services = {name: process.pid for name, process in self.platform.processes.items() if process.poll() is None}
        return {name: self.servers.pid(name) for name in SERVERS} | services

    def alive(self) -> set[str]:
        """Return the names of those that run."""
        return {name for name, pid in self.pids().items() if _runs(pid)}

    async def kill(self, name: str) -> None:
        """Kill one by SIGKILL and wait until it is gone."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        if name in MODULES:
            await asyncio.to_thread(self.platform.processes[name].wait)
        while _runs(pid):
            await asyncio.sleep(0.01)

    async def bring_back(self, name: str) -> float:
        """Start it again and return when it served (monotonic); a service is given a moment to start."""
        if name in SERVERS:
            await asyncio.to_thread(self.servers.start, name)
        else:
            self.platform.start(name, MODULES[name])
            await asyncio.to_thread(self.platform.wait_ready)
        return time.monotonic()


@contextmanager
def world(logs: Path) -> Iterator[World]:
    """Run all of it."""
    with embedded_servers() as servers:
        settings: Settings = msgspec.structs.replace(servers.settings, request_timeout_seconds=DEADLINE)
        with running(settings, logs) as platform:
            yield World(servers, platform)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
