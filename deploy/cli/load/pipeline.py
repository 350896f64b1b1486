"""A load from file to tables.

    read and map (a thread) → batches of one table → INSERT (three at a time) → identity, events.ingested

Memory holds some batches, never the file. Nothing is remembered between loads: the message ids make repeating one
harmless, so an interrupted load is simply run again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from contracts.common import TableName
from deploy.cli.load.announce import Announcer
from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.coded import distinct_of
from deploy.cli.load.duplicates import Duplicates
from deploy.cli.load.emit import Emitter
from deploy.cli.load.errors import LoadError
from deploy.cli.load.insert import Batch, Inserter
from deploy.cli.load.piece import Piece
from deploy.cli.load.rejects import Rejects
from deploy.cli.load.segment import SegmentEmitter
from services.kit.settings import Settings

BATCH_ROWS: Final = 65_536
BATCH_BYTES: Final = 16 << 20
_IN_FLIGHT: Final = 3
_OLDEST_MS: Final = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
_DAY_MS: Final = 86_400_000

ReaderAndEmitter = Emitter | SegmentEmitter


class Progress(Protocol):
    """Who is told how far the load is."""

    def read(self, position: int) -> None:
        """Bytes of the file that have been read."""

    def loaded(self, events: int) -> None:
        """Events that the engine has taken since the last call."""

    def waiting(self, problem: str) -> None:
        """The engine cannot take rows now; the load waits."""


@dataclass
class Summary:
    """What a load did. `rows` are those of the file, accepted or not; `odd_times` events outside 1990 to tomorrow."""

    rows: int = 0
    skipped: int = 0
    rejected: int = 0
    events: Counter[TableName] = field(default_factory=Counter)
    duplicates: int = 0
    odd_times: int = 0
    seconds: float = 0.0
    reject_file: Path | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    first_rejects: list[Reject] = field(default_factory=list)
    announce_problem: str = ""

    @property
    def loaded(self) -> int:
        """Events in all tables."""
        return sum(self.events.values())


@dataclass
class Load:
    """One load: where rows come from, what they become, where they go."""

    workspace: UUID
    chunks: Iterator[Chunk | Reject]
    emitter: ReaderAndEmitter
    rejects: Rejects
    position: Callable[[], int]
    load_id: str


async def run(
    load: Load, settings: Settings, progress: Progress, reload_identity: Callable[[], Awaitable[object]]
) -> Summary:
    """Load everything and say what happened.

    Raises:
        LoadError: the load cannot begin, or cannot go on; what was inserted stays and does no harm.
    """
    started = time.monotonic()
    inserter = Inserter(settings, load.workspace.bytes, waiting=progress.waiting)
    announcer = Announcer(load.workspace, settings.nats_url, reload_identity, load.load_id)
    summary = Summary()
    duplicates = Duplicates()
    try:
        await inserter.start()
        await announcer.start()
        batches = _batches(load, inserter.types, summary, duplicates)
        await _insert_all(batches, inserter, announcer, load.rejects, summary, progress)
        await announcer.finish()
    finally:
        load.emitter.close()
        load.rejects.close()
        await announcer.close()
        await inserter.close()
    summary.skipped = load.emitter.skipped
    summary.rejected, summary.reasons = load.rejects.count, load.rejects.reasons
    summary.first_rejects = load.rejects.first
    summary.reject_file = load.rejects.path if load.rejects.count else None
    summary.duplicates = duplicates.count()
    summary.announce_problem = announcer.problem
    summary.seconds = time.monotonic() - started
    return summary


async def _insert_all(
    batches: Iterator[Batch],
    inserter: Inserter,
    announcer: Announcer,
    rejects: Rejects,
    summary: Summary,
    progress: Progress,
) -> None:
    slots = asyncio.Semaphore(_IN_FLIGHT)

    async def insert(batch: Batch) -> None:
        try:
            taken = await inserter.insert(batch, rejects.add)
        finally:
            slots.release()
        events = sum(map(len, taken))
        summary.events[batch.table] += events
        summary.odd_times += sum(map(_odd_times, taken))
        progress.loaded(events)
        await announcer.inserted(taken)

    try:
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                batch = await asyncio.to_thread(next, batches, None)
                if batch is None:
                    return
                progress.read(batch.position)
                group.create_task(insert(batch))
    except* LoadError as errors:
        raise errors.exceptions[0] from None


def _batches(
    load: Load, types: Mapping[TableName, Mapping[str, str]], summary: Summary, duplicates: Duplicates
) -> Iterator[Batch]:
    """Yield batches as pieces fill them. One INSERT holds one table and one set of columns."""
    waiting: dict[tuple[TableName, tuple[str, ...]], list[tuple[Piece, bytes]]] = {}
    workspace = load.workspace.bytes
    for piece in _pieces(load, summary):
        if load.emitter.brings_ids:
            duplicates.add(piece.table, piece.message_ids)
        key = (piece.table, piece.columns)
        held = waiting.setdefault(key, [])
        held.append((piece, piece.encode(workspace, types[piece.table])))
        if sum(len(part) for part, _ in held) >= BATCH_ROWS or sum(len(body) for _, body in held) >= BATCH_BYTES:
            yield _batch(key, waiting.pop(key), load.position())
    for key, held in waiting.items():
        yield _batch(key, held, load.position())


def _batch(key: tuple[TableName, tuple[str, ...]], held: list[tuple[Piece, bytes]], position: int) -> Batch:
    pieces, body = zip(*held, strict=True)
    return Batch(*key, pieces=pieces, body=body, position=position)


def _pieces(load: Load, summary: Summary) -> Iterator[Piece]:
    for chunk in load.chunks:
        if isinstance(chunk, Reject):
            summary.rows += 1
            load.rejects.add(chunk)
            continue
        summary.rows += len(chunk)
        yield from _accepted(load.emitter.rows(chunk), load.rejects)
    yield from _accepted(load.emitter.end(), load.rejects)


def _accepted(made: Iterator[Piece | Reject], rejects: Rejects) -> Iterator[Piece]:
    for item in made:
        if isinstance(item, Reject):
            rejects.add(item)
        else:
            yield item


def _odd_times(piece: Piece) -> int:
    latest = int(time.time() * 1000) + _DAY_MS
    times = distinct_of(piece.times)
    if min(times) >= _OLDEST_MS and max(times) <= latest:
        return 0
    return sum(1 for moment in piece.times if not _OLDEST_MS <= moment <= latest)
