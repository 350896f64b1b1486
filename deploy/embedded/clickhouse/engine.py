"""The chdb engine: one data folder, many connections, calls that block and therefore run in threads.

Everything on ``Connection`` blocks and is called through ``Engine.run``. Connections of one engine run concurrently;
one connection runs one query at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import chdb

from . import config
from .errors import ServerError, from_engine
from .tokens import literal

T = TypeVar("T")

_chdb: Any = chdb._chdb

TAG_SETTING = "promql_table"
"""Marks a connection's queries in system.processes, where the engine shows ids of its own. It must be a string
setting without effect on SQL; this one concerns another query language, and clients leave it alone."""

_LIKE_A_SERVER = {"implicit_select": "0", "allow_introspection_functions": "0"}
"""What the embedded library sets otherwise than a server."""


class Connection:
    """One engine connection: its settings, database and temporary tables are its own."""

    def __init__(self, path: str, tag: str, settings: dict[str, str]) -> None:
        self.tag = tag
        self._handle = _call(_chdb.connect, path)
        self._progress: dict[str, int] = {}
        self._handle.set_progress_callback(self._progress.update)
        self.execute(set_statement({**settings, TAG_SETTING: literal(tag)}))

    def execute(self, sql: str, output_format: str = "Native") -> bytes:
        """Run any statement and return its whole result; raises ServerError."""
        self._progress.clear()
        result = _call(self._handle.query, _encode(sql), output_format)
        return bytes(result.bytes()) if result is not None else b""

    def stream(self, sql: str) -> Stream:
        """Start a SELECT; raises ServerError."""
        self._progress.clear()
        return Stream(self._handle, _call(self._handle.send_query, _encode(sql), "Native"))

    def classify(self, sql: str) -> tuple[str, int]:
        """The engine's own reading of a text: the class of its statements and their number."""
        found = self._handle.classify_query(_encode(sql))
        return found["query_class"].name, found["statement_count"]

    @property
    def progress(self) -> dict[str, int]:
        """Totals so far of the running or last query: read_rows, read_bytes, total_rows_to_read, elapsed_ns."""
        return dict(self._progress)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._handle.close()


class Stream:
    """The result of a SELECT as the engine makes it."""

    def __init__(self, handle: Any, result: Any) -> None:
        self._handle = handle
        self._result = result
        self.open = True
        """Whether the engine may have more; until it has not, the connection can run nothing else."""

    def fetch(self) -> tuple[int, bytes] | None:
        """Rows and bytes of the next Native block, None at the end; raises ServerError."""
        try:
            chunk = _call(self._handle.streaming_fetch_result, self._result)
        except ServerError:
            self.open = False
            raise
        if chunk is None or not (rows := chunk.rows_read()):
            self.open = False
            return None
        return rows, bytes(chunk.bytes())


class Engine:
    """Opens a data folder, for this process alone, until ``close``."""

    def __init__(self, data: Path, memory: int, threads: int, workers: int) -> None:
        """``memory`` in bytes, ``threads`` per query. ServerError 76 when another process has the folder open."""
        data.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(data / ".lock")
        _chdb.set_signal_handlers_enabled(False)
        self._path = str(data / "store")
        self._defaults = {**_LIKE_A_SERVER, "max_threads": str(threads)}
        config.write(data / "engine.xml", memory)
        self._tags = itertools.count(1)
        self._workers = ThreadPoolExecutor(workers, "query")
        self._controls = ThreadPoolExecutor(1, "control")
        # The engine lives as long as its first connection; later ones find it by the path.
        self._control = self._connection(f"{self._path}?config-file={data / 'engine.xml'}")
        names = self._control.execute("SELECT name FROM system.settings", "TSV")
        self.settings = frozenset(names.decode().split())
        """Names of the engine's settings."""
        self.table_functions = frozenset(
            self._control.execute("SELECT lower(name) FROM system.table_functions", "TSV").decode().split()
        )
        """Lower-case names of the engine's table functions."""
        self.higher_order = frozenset(
            self._control.execute("SELECT name FROM system.functions WHERE higher_order = 1", "TSV").decode().split()
        )
        """Names of the functions that take a function."""
        self.writes = 0
        """Statements run that may have changed data."""

    def _connection(self, path: str) -> Connection:
        return Connection(path, f"front-{next(self._tags)}", self._defaults)

    def connect(self) -> Connection:
        return self._connection(self._path)

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """A blocking call in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, call, *arguments)

    async def control(self, sql: str, output_format: str = "Native") -> bytes:
        """A short statement on the connection kept for killing and looking things up."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._controls, self._control.execute, sql, output_format)

    async def stop_query(self, connection: Connection) -> None:
        """Ask the engine to stop what runs on a connection; it may not have begun, so callers repeat until it ends."""
        with contextlib.suppress(ServerError):
            await self.control(f"KILL QUERY WHERE Settings[{literal(TAG_SETTING)}] = {literal(connection.tag)} ASYNC")

    def close(self) -> None:
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._controls.shutdown(wait=True)
        self._control.close()
        os.close(self._lock)


def set_statement(settings: dict[str, str]) -> str:
    """``SET`` of names to literals."""
    return "SET " + ", ".join(f"{name} = {value}" for name, value in settings.items())


def _call(function: Callable[..., T], *arguments: Any) -> T:
    try:
        return function(*arguments)
    except (RuntimeError, ValueError) as error:
        raise from_engine(error) from None


def _encode(sql: str) -> bytes:
    return sql.encode("utf-8", "surrogateescape")


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ServerError(76, f"{path.parent} is in use by another process", "CANNOT_OPEN_FILE") from None
    return handle
