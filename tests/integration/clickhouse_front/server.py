"""Starts the embedded ClickHouse for tests, on free ports, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from asynch.connection import Connection

ROOT = Path(__file__).parents[3]

USERS = [
    {"name": "cdp", "password": "secret"},
    {"name": "reader", "password": "look", "readonly": True, "settings": {"max_execution_time": "30"}},
    {
        "name": "tenant",
        "password": "own",
        "readonly": True,
        "sendable": ["additional_table_filters", "max_result_rows"],
        "functions": ["dictGetOrDefault"],
        "tables": ["default.confined_events"],
    },
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Front:
    """A running server."""

    folder: Path
    tcp_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    started_in: float = 0.0

    def start(self) -> Front:
        users = self.folder / "users.json"
        users.write_text(json.dumps(USERS))
        users.chmod(0o600)
        begun = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=log, stderr=log)
        try:
            self.wait()
        except TimeoutError:
            raise TimeoutError((self.folder / "log").read_text()) from None
        self.started_in = time.monotonic() - begun
        return self

    def wait(self) -> None:
        """Wait until it serves."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as answer:
                    assert answer.read() == b"Ok.\n"
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                ended = self.process is not None and self.process.poll() is not None
                assert not ended, (self.folder / "log").read_text()
                time.sleep(0.05)
        raise TimeoutError

    @property
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "deploy.embedded.clickhouse"),
            *("--data", str(self.folder / "data"), "--users", str(self.folder / "users.json")),
            *("--tcp-port", str(self.tcp_port), "--http-port", str(self.http_port)),
        ]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)

    def resident(self) -> int:
        """Bytes of the process in memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connection(self, user: str = "cdp", password: str = "secret", **options: object) -> Connection:
        options.setdefault("database", "default")
        return Connection(host="127.0.0.1", port=self.tcp_port, user=user, password=password, **options)


async def fetch(connection: Connection, sql: str, **options: object) -> list[tuple[object, ...]]:
    """Rows of a query; options: settings, query_id."""
    async with connection.cursor() as cursor:
        if "settings" in options:
            cursor.set_settings(options["settings"])
        if "query_id" in options:
            cursor.set_query_id(options["query_id"])
        await cursor.execute(sql)
        return list(await cursor.fetchall() or [])
