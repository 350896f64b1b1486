"""`cdp up` as a process of its own, for tests that watch it start, fail and recover."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.embedded import environment, records
from deploy.embedded.home import PROJECT, Home
from deploy.embedded.ports import Ports
from services.kit.settings import Settings, load

COMMAND = (sys.executable, "-m", "deploy.cli.main")


@dataclass
class Fleet:
    """A home and the `cdp up` that runs on it."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it; does not wait."""
        with self.output_file.open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "up", *options],
                cwd=PROJECT,
                env=self.variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until `GET /ready` is 200."""
        eventually(self.is_ready, seconds, lambda: self.output)

    def is_ready(self) -> bool:
        """Tell whether `GET /ready` is 200; fails when `cdp up` has ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"cdp up ended:\n{self.output[-6000:]}"
        variables = self._written()
        if not variables:
            return False
        return status_of(f"http://127.0.0.1:{load(variables).api_port}/ready") == 200

    @property
    def settings(self) -> Settings:
        """Settings that point at what runs."""
        return load(self._written())

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that run."""
        return {record.name: record.pid for record in records.load(Home.at(self.root))}

    @property
    def variables(self) -> dict[str, str]:
        """The environment its commands run in."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ANALYTICS_")}
        return {**inherited, "PYTHONPATH": str(PROJECT), "ANALYTICS_HOME": str(self.root), **self.environ}

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.output_file.read_text(errors="replace")

    @property
    def output_file(self) -> Path:
        """Where that goes."""
        return self.root.with_suffix(".out")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `cdp` command on the same home."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=PROJECT,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def beside(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run another `cdp` command while the block lasts."""
        with self.output_file.open("ab") as output:
            process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=PROJECT, env=self.variables, stdout=output, stderr=output
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(40)

    def readiness(self) -> dict[str, Any]:
        """Return the body of `GET /ready`."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.api_port}/ready", timeout=5) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        found: dict[str, Any] = json.loads(body)
        return found

    def kill(self, name: str) -> int:
        """Kill a process by SIGKILL and return what its id was."""
        pid = self.pids[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 40.0) -> int:
        """Send a signal, wait for the end, return the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def _written(self) -> dict[str, str]:
        return environment.read(Home.at(self.root))


@contextmanager
def fleet(root: Path, environ: Mapping[str, str] | None = None) -> Iterator[Fleet]:
    """Yield a fleet on a folder, its HTTP ports free ones unless given; whatever runs at the end is stopped."""
    ports = Ports()
    chosen = {"ANALYTICS_API_PORT": str(ports.choose()), "ANALYTICS_WORKERS_PORT": str(ports.choose())}
    running = Fleet(root, {**chosen, **(environ or {})})
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            try:
                running.process.wait(40)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        records.end_leftovers(Home.at(root))


def status_of(url: str) -> int | None:
    """Return the HTTP status of a GET; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return None


def eventually(condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it does not within `seconds`; the text is `explain()`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {explain()[-6000:]}"
        time.sleep(0.03)
