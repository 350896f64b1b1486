"""Starting processes that end with the one that started them, and finding those that did not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from deploy.embedded.child import die_with


class Child(Protocol):
    """A process of ours."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit status once it has ended (negative: the signal), else None."""
        ...


@dataclass(frozen=True, kw_only=True)
class Command:
    """A server to execute: its arguments, folder, extra environment and how it is asked to stop."""

    argv: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM

    def start(self, output: int) -> Child:
        """Start it, its output and errors going to a file descriptor."""
        parent = os.getpid()

        return subprocess.Popen(
            list(self.argv),
            cwd=self.cwd,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Its own session: Ctrl-C in the terminal reaches the supervisor alone, which stops things in order.
            start_new_session=True,
            # The callers have no threads, or none that hold a lock this needs.
            preexec_fn=partial(die_with, parent, self.stop_signal),
        )


@dataclass
class Forked:
    """A child forked from this process, so that it shares the modules imported here."""

    pid: int
    _status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status once it has ended (negative: the signal), else None."""
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status


def fork(run: Callable[[], None], output: int, *, detach: Callable[[], None]) -> Forked:
    """Run a function in a child: its own session, output to a file descriptor, default signals.

    `detach` runs first in the child: it closes what only the parent may use.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Forked(pid)
    status = 1
    try:
        _become_child(parent, output, detach)
        run()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Not sys.exit: the parent's clean-up handlers are not the child's to run.
        os._exit(status)


def _become_child(parent: int, output: int, detach: Callable[[], None]) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with(parent, signal.SIGTERM)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    detach()


def started_at(pid: int) -> str | None:
    """Return when a process started, as the system writes it: with the pid it names one process for good."""
    if sys.platform != "linux":
        command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return found.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold anything; the state follows it, the start time is field 22 (proc(5)).
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields[19]


def end(pid: int, started: str, stop_signal: int, patience: float) -> None:
    """End a process that is not our child: ask, wait `patience` seconds, kill."""
    for number in (stop_signal, signal.SIGKILL):
        if started_at(pid) != started:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while started_at(pid) == started and time.monotonic() < deadline:
            time.sleep(0.02)
