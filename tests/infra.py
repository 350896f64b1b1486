"""The four servers the integration tests run against, started once a run: embedded, or in containers."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded.home import EmbeddedError, Home
from deploy.embedded.process import Child, Command
from deploy.embedded.stores.base import Store
from deploy.embedded.stores.selection import embedded_stores, spare_ports
from deploy.migrations import run as migrations
from services.kit.settings import PREFIX, Settings, load

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@dataclass
class EmbeddedServers:
    """The embedded servers in a folder of their own, through the launchers `make up` uses."""

    home: Home
    stores: list[Store]
    _children: dict[str, tuple[Child, Command]] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """Settings that point at them."""
        found = {name: value for store in self.stores for name, value in store.settings().items()}
        found["home"] = str(self.home.root)
        return load({f"{PREFIX}{name.upper()}": value for name, value in found.items()})

    def pid(self, name: str) -> int:
        """Return the process id of a server: nats, postgres, clickhouse or redis."""
        return self._children[name][0].pid

    def log(self, name: str) -> str:
        """Return what a server has written."""
        return (self.home.logs / f"{name}.log").read_text(errors="replace")

    def start(self, *names: str) -> None:
        """Start the named servers, or all, and wait until they serve."""
        chosen = [store for store in self.stores if not names or store.name in names]
        for store in chosen:
            command = store.prepare()
            output = os.open(self.home.logs / f"{store.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._children[store.name] = command.start(output), command
            finally:
                os.close(output)
        deadline = time.monotonic() + _START_SECONDS
        for store in chosen:
            child = self._children[store.name][0]
            while not store.is_ready():
                if child.poll() is not None or time.monotonic() > deadline:
                    raise EmbeddedError(f"{store.name} did not start:\n{self.log(store.name)[-4000:]}")
                time.sleep(0.02)

    def stop(self, *names: str) -> None:
        """Ask the named servers, or all, to stop; kill what does not within ten seconds."""
        chosen = [self._children.pop(name) for name in names or tuple(self._children)]
        for child, command in chosen:
            if child.poll() is None:
                os.kill(child.pid, command.stop_signal)
        deadline = time.monotonic() + _STOP_SECONDS
        for child, _ in chosen:
            while child.poll() is None:
                if time.monotonic() > deadline:
                    os.kill(child.pid, 9)
                time.sleep(0.01)


@contextmanager
def embedded_servers() -> Iterator[EmbeddedServers]:
    """Run the embedded servers on free ports in a temporary folder, migrated."""
    folder = Path(tempfile.mkdtemp(prefix="cdp-test-"))
    home = Home.at(folder)
    servers = EmbeddedServers(home, embedded_stores(home, (), spare_ports(), durable=False))
    try:
        servers.start()
        migrate(servers.settings)
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


def migrate(settings: Settings) -> None:
    """Apply all migrations, in a thread: the test run's own event loop stays as it is."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, migrations.up(settings)).result()
