"""The queries running now, by the ids their clients gave them: the engine knows them by ids of its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from .engine import Connection, Engine
from .errors import ServerError
from .tokens import literal

KILL_INTERVAL = 0.2
"""Seconds between attempts to stop a query that goes on."""

SYNC_TIMEOUT = 5.0
"""Seconds that KILL QUERY … SYNC waits for a query to end; one may be waiting for its client."""


@dataclass
class Running:
    """A query under way; ``killed`` is the reason it was stopped, if it was."""

    query_id: str
    user: str
    sql: str
    connection: Connection
    started: float = field(default_factory=time.monotonic)
    killed: str = ""
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Registry:
    """Knows and stops running queries."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running: dict[str, Running] = {}

    def add(self, running: Running) -> None:
        """ServerError 216 when a query of that id is running."""
        if running.query_id in self._running:
            raise ServerError(216, f"Query with id = {running.query_id} is already running.")
        self._running[running.query_id] = running

    def remove(self, running: Running) -> None:
        running.done.set()
        self._running.pop(running.query_id, None)

    def all(self) -> list[Running]:
        return list(self._running.values())

    async def kill(self, running: Running, reason: str) -> None:
        """Stop a query and wait until it has ended. It may not have reached the engine yet, hence the repetition."""
        running.killed = running.killed or reason
        while not running.done.is_set():
            await self._engine.stop_query(running.connection)
            try:
                await asyncio.wait_for(running.done.wait(), KILL_INTERVAL)
            except TimeoutError:
                continue

    async def kill_matching(self, condition: str, mode: str, output_format: str) -> bytes:
        """KILL QUERY: the condition ranges over query_id, user, query and elapsed. Returns the rows a server would."""
        chosen = await self._select(condition)
        kills = [asyncio.create_task(self.kill(run, "KILL QUERY")) for run in chosen if mode != "TEST"]
        if mode == "SYNC" and kills:
            await asyncio.wait(kills, timeout=SYNC_TIMEOUT)
        status = "finished" if mode == "SYNC" else "waiting"
        rows = ", ".join(
            f"({literal(status)}, {literal(run.query_id)}, {literal(run.user)}, {literal(run.sql)})" for run in chosen
        )
        if not rows:
            return b""
        shape = "kill_status String, query_id String, user String, query String"
        return await self._engine.control(f"SELECT * FROM values({literal(shape)}, {rows})", output_format)

    async def _select(self, condition: str) -> list[Running]:
        now = time.monotonic()
        running = self.all()
        rows = ", ".join(
            f"({literal(run.query_id)}, {literal(run.user)}, {literal(run.sql)}, {now - run.started:.6f})"
            for run in running
        )
        shape = "query_id String, user String, query String, elapsed Float64"
        source = f"values({literal(shape)}, {rows})" if rows else f"null({literal(shape)})"
        sql = f"SELECT hex(query_id) FROM {source} WHERE {condition}"
        chosen = set((await self._engine.control(sql, "TSVRaw")).decode().split())
        return [run for run in running if run.query_id.encode("utf-8", "surrogateescape").hex().upper() in chosen]
