"""The folder everything embedded lives in: data, logs, and what was started with which ports."""

from __future__ import annotations

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


class EmbeddedError(RuntimeError):
    """The embedded servers cannot run here; the text says why and what to do, and is shown as it is."""


@dataclass(frozen=True)
class Home:
    """Paths under ``ANALYTICS_HOME``. Nothing outside `root` is ever written."""

    root: Path

    @classmethod
    def named(cls, folder: str | Path) -> Home:
        """Return the home at a folder, which need not exist."""
        return cls(Path(folder).expanduser().absolute())

    @classmethod
    def at(cls, folder: str | Path) -> Home:
        """Return the home at a folder, created with access for its owner only.

        Raises:
            EmbeddedError: the folder cannot be created or written.
        """
        home = cls.named(folder)
        try:
            for path in (home.root, home.run, home.logs):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(
                f"cannot use {home.root}: {error.strerror}. Set ANALYTICS_HOME to a folder of yours."
            ) from error
        if not os.access(home.run, os.W_OK | os.X_OK):
            raise EmbeddedError(f"{home.root} belongs to another user. Set ANALYTICS_HOME to a folder of yours.")
        return home

    @property
    def run(self) -> Path:
        """Ports, passwords and process ids: files only their owner may read."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file a process, rotated."""
        return self.root / "logs"

    def folder(self, name: str) -> Path:
        """Return a server's own folder, created."""
        path = self.root / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def password(self, name: str) -> str:
        """Return the password of a server, made at the first call and kept in ``run/``."""
        path = self.run / f"{name}.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner may read it."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


class Lock:
    """One supervisor a home.

    A POSIX record lock: it ends with its process, however that ends, and forked services do not inherit it.
    """

    def __init__(self, home: Home) -> None:
        """Take the lock.

        Raises:
            EmbeddedError: another process holds it; the text names it.
        """
        self._file = (home.run / "lock").open("a+")
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise EmbeddedError(
                f"already running on {home.root} (process {holder}). "
                "Stop it first, or set ANALYTICS_HOME to another folder."
            ) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let go of the home."""
        self._file.close()


def is_locked(home: Home) -> bool:
    """Tell whether a supervisor runs on a home. Never called by that supervisor: closing the file ends its lock."""
    try:
        file = (home.run / "lock").open("r+")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
