"""Resident memory of processes, watched while something happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

_PERIOD = 0.05
MB = 1024 * 1024


@dataclass
class Peaks:
    """The largest resident size of each process in bytes, by name; of PostgreSQL, that of its largest process."""

    pids: Mapping[str, int]
    before: dict[str, int] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Take a sample."""
        for name, pid in self.pids.items():
            self.highest[name] = max(self.highest.get(name, 0), _resident(pid, children=name == "postgres"))

    def growth(self) -> dict[str, int]:
        """Return by how many bytes each has grown."""
        return {name: peak - self.before[name] for name, peak in self.highest.items()}

    def __str__(self) -> str:
        return ", ".join(f"{name} {peak / MB:.0f} MB" for name, peak in self.highest.items())


def _resident(pid: int, *, children: bool) -> int:
    sizes = [0]
    try:
        process = psutil.Process(pid)
        for each in (process, *(process.children() if children else ())):
            sizes.append(each.memory_info().rss)
    except psutil.NoSuchProcess:
        pass  # a connection's process may end between being listed and being looked at
    return max(sizes)


@contextmanager
def watching(pids: Mapping[str, int]) -> Iterator[Peaks]:
    """Sample twenty times a second while the block runs, in a thread of its own."""
    peaks = Peaks(pids)
    peaks.look()
    peaks.before = dict(peaks.highest)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_PERIOD):
            peaks.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()
        peaks.look()
