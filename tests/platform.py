"""The services and the gateway as processes of their own, against the test servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from services.kit.settings import PREFIX, Settings

MODULES = {"query": "services.query.main", "profile": "services.profile.main", "gateway": "gateway.main"}
ROOT = Path(__file__).resolve().parent.parent


def environment(settings: Settings) -> dict[str, str]:
    """Return the process environment that makes `settings.load()` give these settings."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    return own | {f"{PREFIX}{name.upper()}": str(value) for name, value in msgspec.structs.asdict(settings).items()}


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Platform:
    """Processes by name, each `python -m <module>` with the same settings."""

    settings: Settings
    logs: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Base URL of the gateway."""
        return f"http://127.0.0.1:{self.settings.api_port}"

    def start(
        self, name: str, module: str, extra: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
    ) -> None:
        """Start one process; does not wait until it serves."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=environment(self.settings) | dict(extra or {}),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def stop(self, name: str, sign: int = signal.SIGTERM) -> int:
        """Send a signal to one process and return its exit code, killing it after 20 s."""
        process = self.processes.pop(name)
        process.send_signal(sign)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until the gateway says that every dependency is there."""
        end = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(self.url + "/ready", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() > end:
                    detail = error.read().decode() if isinstance(error, urllib.error.HTTPError) else str(error)
                    logs = "\n".join(path.read_text(errors="replace")[-3000:] for path in self.logs.glob("*.log"))
                    raise RuntimeError(f"the platform is not ready: {detail}\n{logs}") from error
                time.sleep(0.1)

    def rss(self, name: str) -> int:
        """Return the resident size of a process in bytes."""
        for line in Path(f"/proc/{self.processes[name].pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"{name} has ended")


@contextmanager
def running(settings: Settings, logs: Path) -> Iterator[Platform]:
    """Run one of each service and one gateway, ready, and stop them afterwards."""
    settings = msgspec.structs.replace(settings, api_port=free_port())
    platform = Platform(settings, logs)
    for name, module in MODULES.items():
        platform.start(name, module)
    try:
        platform.wait_ready()
        yield platform
    finally:
        for name in list(platform.processes):
            platform.stop(name)
