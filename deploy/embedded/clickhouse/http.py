"""ClickHouse's HTTP interface: a query in the URL, in the body or in both, its result streamed in any format."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid

from aiohttp import web

from . import bodies, http_request, output
from .engine import Engine
from .errors import ServerError
from .http_request import Asked
from .http_sessions import HttpSessions
from .intake import Intake
from .registry import Registry, Running
from .session import Session
from .statements import Kind, Statement
from .users import Users

ENOUGH = 1 << 16
"""Bytes of a result held back before the answer begins, so that an early error still gets its status."""

LONGEST_LINE = 1 << 20

_FORBIDDEN, _NOT_FOUND, _BAD, _TIMEOUT = 403, 404, 400, 408
_STATUS = {
    **dict.fromkeys((164, 192, 194, 291, 446, 497, 516), _FORBIDDEN),
    **dict.fromkeys((46, 47, 60, 81, 115), _NOT_FOUND),
    **dict.fromkeys((6, 27, 36, 41, 62, 73, 117, 158, 271, 358), _BAD),
    **dict.fromkeys((159, 209), _TIMEOUT),
    48: 501,
    202: 503,
}
_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Parquet": "application/vnd.apache.parquet",
    "Arrow": "application/vnd.apache.arrow.file",
    "ArrowStream": "application/vnd.apache.arrow.stream",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
}

log = logging.getLogger("clickhouse.http")


class HttpServer:
    """The HTTP interface as an aiohttp application."""

    def __init__(self, engine: Engine, registry: Registry, users: Users, sessions: HttpSessions) -> None:
        self._engine = engine
        self._registry = registry
        self._users = users
        self._sessions = sessions
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> None:
        application = web.Application()
        application.router.add_get("/ping", _ping)
        application.router.add_route("*", "/", self._root)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1.0,
            auto_decompress=False,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _root(self, request: web.Request) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD", "POST"):
            return _refusal(ServerError(48, f"Method {request.method} is not supported"))
        if request.method != "POST" and "query" not in request.query:
            return await _ping(request)
        try:
            user = self._users.authenticate(*http_request.credentials(request))
            asked = await http_request.read(request)
            session = Session(self._engine, self._registry, user, asked.database)
            async with self._sessions.use(session, asked.session_id, asked.session_timeout) as used:
                await used.use_database(asked.database)
                return await Exchange(self._engine, self._registry, used, request, asked).run()
        except ServerError as error:
            return _refusal(error)


class Exchange:
    """One request's query, from its start to the end of its answer."""

    def __init__(
        self, engine: Engine, registry: Registry, session: Session, request: web.Request, asked: Asked
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._session = session
        self._request = request
        self._asked = asked
        self._query_id = asked.query_id or str(uuid.uuid4())
        self._codec: bodies.Codec = bodies.decoder("")
        self._encoding = ""
        compressing = asked.settings.get("enable_http_compression")
        if request.query.get("compress") == "1":
            self._codec = bodies.frames()
        elif compressing is not None and compressing.value == "1":
            self._encoding, self._codec = bodies.encoder(request.headers.get("Accept-Encoding", ""))

    async def run(self) -> web.StreamResponse:
        """Raises ServerError as long as nothing of the answer has been sent."""
        asked = self._asked
        if self._request.method != "POST" and asked.statement.kind not in (Kind.SELECT, Kind.READ):
            raise ServerError(
                164,
                "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. "
                "You should use method POST for modifying queries.",
            )
        query = self._session.query(self._query_id, asked.sql, asked.settings, asked.parameters)
        async with query as (statement, running):
            try:
                return await self._answer(statement, running)
            except asyncio.CancelledError:  # the client left
                running.killed = "gone"
                await asyncio.shield(self._engine.stop_query(running.connection))
                raise

    async def _answer(self, statement: Statement, running: Running) -> web.StreamResponse:
        name = statement.format or self._asked.default_format
        if statement.kind is Kind.SELECT:
            async with output.select(self._engine, running.connection, statement.sql, name) as document:
                return await self._stream(document, name, running)
        if statement.kind is Kind.INSERT:
            return await self._insert(statement, running)
        task = asyncio.create_task(self._session.execute(statement, running, name))
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                await self._engine.stop_query(running.connection)
                await asyncio.wait([task], timeout=0.1)
            raise
        response = self._begin(name, running)
        await self._write(response, result)
        return await self._end(response)

    async def _stream(self, document: output.Output, name: str, running: Running) -> web.StreamResponse:
        held = bytearray()
        while len(held) < ENOUGH and (piece := await document.piece()):
            held += piece
        if len(held) < ENOUGH:
            await document.finish()
        response = self._begin(name, running)
        await self._write(response, bytes(held))
        try:
            while piece := await document.piece():
                await self._write(response, piece)
            await document.finish()
        except ServerError as error:
            # The status has gone out: as a server does, say why at the end and break off.
            await response.write(f"\nCode: {error.code}. {error.text}\n".encode())
            if self._request.transport is not None:
                self._request.transport.abort()
            return response
        return await self._end(response)

    async def _insert(self, statement: Statement, running: Running) -> web.StreamResponse:
        name = statement.format or "Values"
        intake = await Intake(self._engine, running.connection).start(statement.sql, name, statement.settings)
        gathered = bytearray()
        try:
            async for piece in self._asked.data:
                gathered += piece
                if len(gathered) >= output.PIECE:
                    await intake.append(bytes(gathered))
                    gathered.clear()
            if gathered:
                await intake.append(bytes(gathered))
            written = await intake.finish()
        finally:
            await asyncio.shield(intake.abandon())
        return await self._end(self._begin(name, running, written))

    def _begin(self, name: str, running: Running, written: int = 0) -> web.StreamResponse:
        done = running.connection.progress
        summary = {
            "read_rows": str(done.get("read_rows", 0)),
            "read_bytes": str(done.get("read_bytes", 0)),
            "written_rows": str(written or done.get("written_rows", 0)),
            "written_bytes": str(done.get("written_bytes", 0)),
            "total_rows_to_read": str(done.get("total_rows_to_read", 0)),
            "result_rows": str(done.get("result_rows", 0)),
            "result_bytes": str(done.get("result_bytes", 0)),
            "elapsed_ns": str(int((time.monotonic() - running.started) * 1e9)),
        }
        headers = {
            "Content-Type": _CONTENT_TYPES.get(name, "text/plain; charset=UTF-8"),
            "X-ClickHouse-Query-Id": _printable(self._query_id),
            "X-ClickHouse-Format": _printable(name),
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Summary": json.dumps(summary, separators=(",", ":")),
        }
        if self._encoding:
            headers["Content-Encoding"] = self._encoding
        return web.StreamResponse(headers=headers)

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        if not response.prepared:
            response.enable_chunked_encoding()
            await response.prepare(self._request)
        if data and (encoded := await self._encoded(data)):
            await response.write(encoded)

    async def _encoded(self, data: bytes) -> bytes:
        if len(data) < ENOUGH:
            return self._codec.push(data)
        return await self._engine.run(self._codec.push, data)

    async def _end(self, response: web.StreamResponse) -> web.StreamResponse:
        await self._write(response, b"")
        if last := self._codec.flush():
            await response.write(last)
        await response.write_eof()
        return response


async def _ping(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def _refusal(error: ServerError) -> web.Response:
    return web.Response(
        status=_STATUS.get(error.code, 500),
        text=f"Code: {error.code}. {error.text}\n",
        headers={"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Timezone": "UTC"},
    )


def _printable(value: str) -> str:
    return "".join(character for character in value if character.isprintable() and character.isascii())[:1024]
