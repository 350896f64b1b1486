"""Notes of the statements that were sent, written in the background so that no answer waits for them."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.errors import CdpError, Conflict, Internal, InvalidRequest, TooManyRequests, Unavailable
from contracts.sql import SqlRequest
from services.kit.lifecycle import end
from services.kit.logs import log
from services.kit.postgres import Postgres
from services.kit.service import RequestContext
from services.query.sql import history_store
from services.query.sql.history_store import Outcome, Sent

GATHER_SECONDS: Final = 0.1
"""How long a note waits for others: a statement that takes less is written once."""
_AGAIN_SECONDS: Final = 2.0
_MOST: Final = 500
"""Notes that wait while PostgreSQL is away; the oldest go first."""
_PRUNED_AFTER: Final = 100
"""New statements of a workspace after which it is brought back to what is kept."""
_GRACE: Final = timedelta(seconds=60)
"""After a statement's time is over its process still has this long to say so."""


@dataclass(slots=True, kw_only=True, eq=False)
class Note:
    """A statement under way in this process."""

    sent: Sent
    began: float
    """Loop time."""
    deadline: float
    outcome: Outcome = field(default_factory=Outcome)
    runs: bool = False
    """It was let through."""
    cancelled: bool = False
    written: bool = False


class History:
    """The statements of this process, on their way to PostgreSQL."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._running: set[Note] = set()
        self._changed: dict[UUID, Note] = {}
        self._new: Counter[UUID] = Counter()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Write notes while the block runs, and those left at its end."""
        task = asyncio.create_task(self._write_for_ever(), name="history")
        try:
            yield
        finally:
            await end([task])
            with suppress(Unavailable):
                await self.flush()

    def begin(self, request: SqlRequest, context: RequestContext, query_id: UUID) -> Note:
        """Note that a statement was sent."""
        now = datetime.now(UTC)
        sent = Sent(
            id=uuid.uuid4(),
            workspace=context.workspace,
            query_id=query_id,
            statement=request.query,
            format=context.format,
            principal=context.principal,
            started_at=now,
            ends_by=now + timedelta(seconds=context.remaining()) + _GRACE,
        )
        note = Note(sent=sent, began=asyncio.get_running_loop().time(), deadline=context.deadline)
        self._running.add(note)
        self._changes(note)
        return note

    @contextmanager
    def watching(self, note: Note) -> Iterator[None]:
        """Note how a statement ends that does not end well; `finish` says that it did."""
        try:
            yield
        except CdpError as error:
            self._fail(note, error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            over = asyncio.get_running_loop().time() >= note.deadline
            self._end(
                note, Outcome(status="failed" if over else "cancelled", error="The time was over" if over else None)
            )
            raise
        except BaseException:
            self._end(note, Outcome(status="failed", error=Internal.title))
            raise

    def finish(self, note: Note, *, rows_read: int, bytes_read: int, rows_returned: int | None) -> None:
        """Note that a statement has been answered."""
        read = Outcome(status="finished", rows_read=rows_read, bytes_read=bytes_read, rows_returned=rows_returned)
        self._end(note, read)

    async def cancel(self, workspace: UUID, query_id: UUID) -> None:
        """Note that somebody asked for a statement to be stopped, whichever process runs it; while PostgreSQL is away,
        only of those of this process."""
        for note in self._running:
            if (note.sent.workspace, note.sent.query_id) == (workspace, query_id):
                note.cancelled = True
        with suppress(Unavailable):
            await history_store.cancel(self._postgres, workspace, query_id)

    async def flush(self) -> None:
        """Write what has been noted so far.

        Raises:
            Unavailable: PostgreSQL does not answer; what was noted waits.
        """
        async with self._writing:
            notes, self._changed = self._changed, {}
            if not notes:
                return
            new = [note for note in notes.values() if not note.written]
            known = [note for note in notes.values() if note.written]
            try:
                await history_store.write(
                    self._postgres,
                    [(note.sent, note.outcome) for note in new],
                    [(note.sent.id, note.outcome) for note in known],
                )
            except (Unavailable, asyncio.CancelledError):
                self._changed = notes | self._changed
                raise
            for note in new:
                note.written = True
                self._new[note.sent.workspace] += 1
            for workspace in [each for each, count in self._new.items() if count >= _PRUNED_AFTER]:
                await history_store.prune(self._postgres, workspace)
                del self._new[workspace]

    def _fail(self, note: Note, error: CdpError) -> None:
        note.cancelled |= isinstance(error, Conflict)
        refused = not note.runs and isinstance(error, InvalidRequest | TooManyRequests)
        message = error.errors[0].message if error.errors else error.detail
        text = f"{error.title}: {message}" if message else error.title
        self._end(note, Outcome(status="refused" if refused else "failed", error=text))

    def _end(self, note: Note, outcome: Outcome) -> None:
        if note.cancelled and outcome.status == "failed":
            outcome = Outcome(status="cancelled")
        note.outcome = replace(outcome, seconds=asyncio.get_running_loop().time() - note.began)
        self._running.discard(note)
        self._changes(note)

    def _changes(self, note: Note) -> None:
        self._changed[note.sent.id] = note
        if len(self._changed) > _MOST:
            del self._changed[next(iter(self._changed))]
        self._wake.set()

    async def _write_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            try:
                await self.flush()
            except Unavailable:
                log(logging.WARNING, "the history of statements waits: PostgreSQL does not answer")
                await asyncio.sleep(_AGAIN_SECONDS)
                self._wake.set()
            except Exception as error:
                # A table of a migration still to come: statements are answered all the same.
                log(logging.ERROR, "statements are missing in the history", error=error)
