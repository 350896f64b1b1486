"""One query on the native protocol, from its packet to EndOfStream or Exception."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from . import compression, native, protocol
from .channel import Channel
from .engine import Engine, Stream
from .errors import ProtocolError, ServerError
from .intake import Intake
from .native import Column, Flag
from .registry import KILL_INTERVAL, Registry, Running
from .session import Session, Setting
from .statements import Kind, Statement
from .tables import insert_columns, metadata_columns, result_columns

END = bytes([protocol.S_END_OF_STREAM])
SMALL = 1 << 16
"""A first block up to this size is walked to precede it with its header, as a server does; a larger one is its own."""

QUICK = 0.02
"""Seconds within which a first block must have come for the end of the result to be looked for at once."""


@dataclass
class Totals:
    """What has been sent of a result, and of its progress."""

    rows: int = 0
    blocks: int = 0
    size: int = 0
    reported: dict[str, int] = field(default_factory=dict)


class Runner:
    """Runs one query of one client."""

    def __init__(self, channel: Channel, engine: Engine, registry: Registry, session: Session) -> None:
        self._channel = channel
        self._engine = engine
        self._registry = registry
        self._session = session
        self._method: int | None = None
        self._totals = Totals()
        self._stream: Stream | None = None
        self._kill: asyncio.Task[None] | None = None

    async def run(self, query: protocol.Query) -> None:
        """Answer the query. Raises EOFError when the client left, ProtocolError when it cannot be followed."""
        settings = {name: Setting(value, important) for name, (value, important) in query.settings.items()}
        if query.compressed:
            wanted = query.settings.get("network_compression_method", ("LZ4", False))[0].upper()
            self._method = compression.METHODS.get(wanted, compression.LZ4)
        try:
            await self._external_tables(query.compressed)
            try:
                started = self._session.query(query.query_id, query.sql, settings, query.parameters)
                async with started as (statement, running):
                    await self._answer(statement, running, query.compressed)
            finally:
                await self._session.drop_external_tables()
        except ProtocolError:
            raise
        except ServerError as error:
            await self._channel.send(protocol.exception(error))

    async def _answer(self, statement: Statement, running: Running, compressed: bool) -> None:
        if statement.kind is Kind.INSERT:
            await self._insert(statement, running, compressed)
            return
        self._channel.watch(lambda reason: self._stop(running, reason))
        try:
            if statement.kind is Kind.SELECT:
                await self._select(statement, running)
            elif statement.data_start >= 0 and statement.format not in (None, "Values"):
                await self._insert_inline(statement, running)
            else:
                await self._execute(statement, running)
        except ServerError as error:
            if running.killed == "gone":
                raise EOFError from None
            if running.killed != "cancelled":
                raise error if not running.killed else ServerError(394, "Query was cancelled.") from None
            await self._channel.send(END)

    def _stop(self, running: Running, reason: str) -> None:
        self._kill = asyncio.create_task(self._registry.kill(running, reason))

    # Results.

    async def _select(self, statement: Statement, running: Running) -> None:
        making = asyncio.create_task(self._engine.run(self._first, statement, running))
        try:
            packets = await asyncio.shield(making)
            while self._stream is not None and self._stream.open:
                making = asyncio.create_task(self._engine.run(self._following, self._stream, running))
                await self._channel.send(packets)
                packets = await asyncio.shield(making)
            await self._channel.send(packets + self._summary(running) + END)
        finally:
            await self._abandon(making, running)

    async def _abandon(self, making: asyncio.Task[bytes], running: Running) -> None:
        """Stop a query that was left midway and see it end, so that its connection can be used or closed."""
        task: asyncio.Task[object] = making
        while not task.done() or (self._stream is not None and self._stream.open):
            if task.done() and self._stream is not None:
                task = asyncio.create_task(self._engine.run(self._stream.fetch))
            await self._engine.stop_query(running.connection)
            await asyncio.wait([task], timeout=KILL_INTERVAL)
        if not task.cancelled():
            task.exception()

    def _first(self, statement: Statement, running: Running) -> bytes:
        """Start a SELECT; its packets up to the first block, or the end if that comes at once. In a worker thread."""
        started = time.monotonic()
        stream = self._stream = running.connection.stream(statement.sql)
        block = stream.fetch()
        if block is None:
            progress = self._progress(running)
            header = self._header(result_columns(running.connection, statement.sql))
            self._totals.reported = running.connection.progress  # of asking for the columns, not of the query
            return header + progress
        rows, data = block
        header = b""
        if len(data) <= SMALL:
            columns, _, _ = native.split(data, Flag.ABSENT)[0]
            header = self._header(columns)
        packets = header + self._progress(running) + self._data(rows, data)
        # Most results are one small block: looking for its end here saves a turn through the event loop.
        if len(data) > SMALL or time.monotonic() - started > QUICK:
            return packets
        return packets + self._following(stream, running)

    def _following(self, stream: Stream, running: Running) -> bytes:
        """The packets of the next block, nothing at the end. In a worker thread."""
        block = stream.fetch()
        return b"" if block is None else self._progress(running) + self._data(*block)

    async def _execute(self, statement: Statement, running: Running) -> None:
        result = await self._session.execute(statement, running)
        packets = []
        blocks = native.split(result, Flag.ABSENT)
        if not blocks and statement.kind is Kind.READ:
            columns = await self._engine.run(metadata_columns, running.connection, statement.sql)
            packets.append(self._header(columns))
        elif blocks:
            packets.append(self._header(blocks[0][0]))
        packets += [self._data(rows, data) for _, rows, data in blocks]
        await self._channel.send(b"".join(packets) + (self._summary(running) if blocks else b"") + END)

    def _header(self, columns: list[Column]) -> bytes:
        return self._channel.data(native.header(columns, self._channel.flagged), self._method)

    def _data(self, rows: int, data: bytes) -> bytes:
        if self._channel.flagged:
            data = b"".join(block for _, _, block in native.split(data, Flag.ADD))
        self._totals.rows += rows
        self._totals.blocks += 1
        self._totals.size += len(data)
        return self._channel.data(data, self._method)

    def _progress(self, running: Running) -> bytes:
        """What was read since the last report; nothing to say when nothing was."""
        now = running.connection.progress
        before = self._totals.reported
        self._totals.reported = now
        read, size, total, elapsed = (
            max(now.get(name, 0) - before.get(name, 0), 0)
            for name in ("read_rows", "read_bytes", "total_rows_to_read", "elapsed_ns")
        )
        if not read and not total:
            return b""
        return protocol.progress(self._channel.revision, read, size, total, elapsed)

    def _summary(self, running: Running) -> bytes:
        totals = self._totals
        return protocol.profile_info(totals.rows, totals.blocks, totals.size) + self._progress(running)

    # Data from the client.

    async def _external_tables(self, compressed: bool) -> None:
        """Data packets behind a query, up to an empty one, are tables that it may name."""
        failure: ServerError | None = None
        while True:
            name, columns, block = await self._table(compressed)
            if not columns:
                break
            if failure is None:
                try:
                    await self._session.external_table(name, columns, block)
                except ServerError as error:
                    failure = error
        if failure is not None:
            await self._session.drop_external_tables()
            raise failure

    async def _table(self, compressed: bool) -> tuple[str, list[Column], bytes]:
        kind = await self._channel.packet()
        if kind not in (protocol.DATA, protocol.SCALAR):
            raise ProtocolError(101, f"Unexpected packet {kind} from client: expected Data")
        name = await self._channel.parse(self._channel.buffer.string())
        pieces: list[bytes] = []

        async def keep(piece: bytes) -> None:
            pieces.append(piece)

        columns, _ = await self._channel.block(compressed, keep)
        return name, columns, b"".join(pieces)

    async def _insert_inline(self, statement: Statement, running: Running) -> None:
        """Data in another format than Values within the text: the engine's library would end it at a line's end."""
        assert statement.format is not None
        intake = Intake(self._engine, running.connection)
        try:
            await intake.start(statement.insert, statement.format, statement.settings)
            data = statement.sql[statement.data_start :].lstrip(" \t\r").removeprefix("\n")
            await intake.append(data.encode("utf-8", "surrogateescape"))
            await intake.finish()
        finally:
            await intake.abandon()
        await self._channel.send(END)

    async def _insert(self, statement: Statement, running: Running, compressed: bool) -> None:
        columns, description = await self._engine.run(insert_columns, running.connection, statement)
        intake = await Intake(self._engine, running.connection).start(statement.sql, "Native", statement.settings)
        done = False
        try:
            await self._channel.send(protocol.table_columns(description) + self._header(columns))
            while not done:
                kind = await self._channel.packet()
                if kind == protocol.CANCEL:
                    await self._channel.send(END)
                    return
                if kind != protocol.DATA:
                    raise ProtocolError(101, f"Unexpected packet {kind} from client: expected Data")
                await self._channel.parse(self._channel.buffer.string())
                received, _ = await self._channel.block(compressed, intake.append)
                intake.expect(columns, received)
                done = not received
                if self._channel.revision >= protocol.WITH_PROFILE_EVENTS_IN_INSERT:
                    await self._channel.send(protocol.profile_events())
            await intake.finish()
        finally:
            await intake.abandon()
        await self._channel.send(END)
