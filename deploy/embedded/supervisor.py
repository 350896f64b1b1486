"""Keeps processes running: one thread, no event loop, so that it may fork at any time."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from deploy.embedded.home import EmbeddedError
from deploy.embedded.output import Output
from deploy.embedded.process import Child, started_at
from deploy.embedded.records import Record

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
_STEADY_SECONDS = 30.0
"""A process that ran this long is restarted at once; one that keeps ending waits longer each time."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A process to keep running."""

    name: str
    start: Callable[[int], Child]
    """Starts it with its output on a file descriptor; may raise EmbeddedError or OSError."""
    stop_signal: signal.Signals = signal.SIGTERM
    is_ready: Callable[[], bool] = lambda: True
    stop_seconds: float = 20.0
    """How long it may take to end before it is killed."""


@dataclass
class _Slot:
    unit: Unit
    child: Child | None = None
    started: float = 0.0
    delay: float = _FIRST_DELAY
    due: float | None = None
    """When to start it again (monotonic); None while it runs."""


class Stopped(Exception):
    """A signal asked us to stop."""


class Supervisor:
    """Starts units, restarts those that end, stops them in order.

    Use it as a context manager: it owns the process's signals meanwhile.
    """

    def __init__(self, output: Output, record: Callable[[Iterable[Record]], None]) -> None:
        """`record` is told which processes run, each time that changes."""
        self._output = output
        self._record = record
        self._slots: dict[str, _Slot] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, wakeup = socket.socketpair()
        self._wakeup = wakeup
        self._signals = 0
        self._stopping = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Supervisor:
        for end in (self._wake, self._wakeup):
            end.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._previous[number] = signal.signal(number, self._asked_to_stop)
        # Only to wake the select: children are looked at on every turn.
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.detach()

    def detach(self) -> None:
        """Close what belongs to the supervisor alone; a forked child does this first."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, int):
                os.close(key.fileobj)
        self._selector.close()
        self._wake.close()
        self._wakeup.close()

    def start(self, units: Iterable[Unit]) -> None:
        """Start units, and keep them running from now on.

        Raises:
            EmbeddedError: one cannot run here.
        """
        for unit in units:
            slot = self._slots[unit.name] = _Slot(unit)
            self._launch(slot)

    def wait(self, names: Iterable[str], seconds: float) -> None:
        """Wait until the named units are ready.

        Raises:
            EmbeddedError: one ended, or was not ready in time.
            Stopped: a signal asked us to stop.
        """
        waiting = [self._slots[name] for name in names]
        deadline = time.monotonic() + seconds
        while True:
            waiting = [slot for slot in waiting if not slot.unit.is_ready()]
            if not waiting:
                return
            self.turn(0.02)
            for slot in waiting:
                if slot.child is None:
                    raise EmbeddedError(f"{slot.unit.name} ended while starting{self._pointer(slot.unit.name)}")
            if time.monotonic() > deadline:
                late = ", ".join(slot.unit.name for slot in waiting)
                raise EmbeddedError(f"not ready after {seconds:.0f} s: {late}{self._pointer(waiting[0].unit.name)}")

    def run_once(self, unit: Unit) -> int:
        """Run a unit to its end, without restarts; return its exit status.

        Raises:
            Stopped: a signal asked us to stop; it is left running.
        """
        read, write = os.pipe()
        self._selector.register(read, selectors.EVENT_READ, unit.name)
        try:
            child = unit.start(write)
        finally:
            os.close(write)
        while (status := child.poll()) is None:
            self.turn(1.0)
        while self._read(0):
            pass
        return status

    def serve(self) -> None:
        """Keep everything running until a signal asks us to stop."""
        with suppress(Stopped):
            while True:
                self.turn(60.0)

    def turn(self, seconds: float) -> None:
        """Pass output on, notice what ended, start what is due; waits `seconds` at most for something to happen.

        Raises:
            Stopped: a signal asked us to stop.
        """
        if self._signals and not self._stopping:
            raise Stopped
        now = time.monotonic()
        pending = [slot.due - now for slot in self._slots.values() if slot.due is not None]
        self._read(max(0.0, min([seconds, *pending])))
        for slot in self._slots.values():
            self._look_at(slot)
        if self._signals and not self._stopping:
            raise Stopped

    def stop(self, names: Iterable[str]) -> None:
        """Stop the named units together and wait for them. A second signal kills them at once."""
        self._stopping = True
        slots = [self._slots[name] for name in names if name in self._slots]
        for slot in slots:
            slot.due = None
            if slot.child is not None:
                _send(slot.child, slot.unit.stop_signal)
        begun = time.monotonic()
        while running := [slot for slot in slots if slot.child is not None]:
            for slot in running:
                if self._signals > 1 or time.monotonic() - begun > slot.unit.stop_seconds:
                    self._output.say(f"{slot.unit.name} is killed")
                    assert slot.child is not None
                    _send(slot.child, signal.SIGKILL)
            self.turn(0.1)
        for slot in slots:
            del self._slots[slot.unit.name]
        while self._read(0):
            pass
        self._write_down()

    def _launch(self, slot: _Slot) -> None:
        read, write = os.pipe()
        try:
            slot.child = slot.unit.start(write)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        slot.started, slot.due = time.monotonic(), None
        self._selector.register(read, selectors.EVENT_READ, slot.unit.name)
        self._write_down()

    def _look_at(self, slot: _Slot) -> None:
        if slot.child is not None and (status := slot.child.poll()) is not None:
            slot.child = None
            if self._stopping:
                return
            if time.monotonic() - slot.started > _STEADY_SECONDS:
                slot.delay = _FIRST_DELAY
            self._output.say(f"{slot.unit.name} ended ({describe(status)}); starting it again in {slot.delay:.1f} s")
            self._postpone(slot)
        elif slot.due is not None and slot.due <= time.monotonic():
            try:
                self._launch(slot)
            except (EmbeddedError, OSError, subprocess.SubprocessError) as error:
                self._output.say(f"{slot.unit.name} does not start: {error}")
                self._postpone(slot)

    def _postpone(self, slot: _Slot) -> None:
        slot.due = time.monotonic() + slot.delay
        slot.delay = min(slot.delay * 2, _LONGEST_DELAY)

    def _read(self, seconds: float) -> bool:
        events = self._selector.select(seconds)
        for key, _ in events:
            if key.data is None:
                with suppress(BlockingIOError):
                    self._wake.recv(4096)
                continue
            assert isinstance(key.fileobj, int)
            data = os.read(key.fileobj, 65_536)
            if data:
                self._output.feed(key.data, data)
            else:
                self._selector.unregister(key.fileobj)
                os.close(key.fileobj)
        return bool(events)

    def _write_down(self) -> None:
        running = [(slot.unit, slot.child.pid) for slot in self._slots.values() if slot.child is not None]
        try:
            self._record(
                Record(name=unit.name, pid=pid, started=started, stop_signal=int(unit.stop_signal))
                for unit, pid in running
                if (started := started_at(pid)) is not None
            )
        except OSError as error:
            # A full disk is no reason to end everything.
            self._output.say(f"cannot write down what runs: {error}")

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _pointer(self, name: str) -> str:
        file = self._output.file(name)
        return "" if file is None else f"; see {file}"


def describe(status: int) -> str:
    """Return an exit status in words."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _send(child: Child, number: signal.Signals) -> None:
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)
