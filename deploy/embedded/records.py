"""The processes a supervisor runs, written down so that its successor can end them if it is killed."""

from __future__ import annotations

import signal
from collections.abc import Iterable

import msgspec

from deploy.embedded.home import Home, write_private
from deploy.embedded.process import end, started_at

_PATIENCE_SECONDS = 10.0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One process: its id and start time name it for good, even after the id is used again."""

    name: str
    pid: int
    started: str
    stop_signal: int = int(signal.SIGTERM)


def save(home: Home, records: Iterable[Record]) -> None:
    """Replace what is written down."""
    write_private(home.run / "processes.json", msgspec.json.encode(list(records)).decode())


def load(home: Home) -> list[Record]:
    """Return the processes written down that still run."""
    path = home.run / "processes.json"
    try:
        found: list[Record] = msgspec.json.decode(path.read_bytes(), type=list[Record])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []
    return [record for record in found if started_at(record.pid) == record.started]


def end_leftovers(home: Home) -> list[str]:
    """End what a killed supervisor has left running, services before stores; return the names."""
    left = load(home)
    for record in reversed(left):
        end(record.pid, record.started, record.stop_signal, _PATIENCE_SECONDS)
    save(home, [])
    return [record.name for record in left]
