"""Clients of the native protocol: the handshake, then one packet after another."""

from __future__ import annotations

import asyncio
import logging

from . import protocol
from .channel import Channel
from .engine import Engine
from .errors import ProtocolError, ServerError
from .registry import Registry
from .runner import Runner
from .session import Session
from .users import Users

HELLO_TIMEOUT = 10.0
DISPLAY_NAME = "embedded"

_HTTP = b"""HTTP/1.0 400 Bad Request\r
Content-Type: text/plain\r
Connection: close\r
\r
This port speaks ClickHouse's native protocol; HTTP has a port of its own.
"""
_FIRST_OF_HTTP = frozenset(b"GPHODCT")

log = logging.getLogger("clickhouse.tcp")


class TcpServer:
    """Accepts clients of the native protocol."""

    def __init__(self, engine: Engine, registry: Registry, users: Users) -> None:
        self._engine = engine
        self._registry = registry
        self._users = users
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, host, port, limit=1 << 18)

    async def stop(self) -> None:
        """Stop listening and end the clients, whose queries have been stopped before."""
        if self._server is not None:
            self._server.close()
        for task in self._clients:
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=2)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        channel = Channel(reader, writer)
        farewell = b""
        session: Session | None = None
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                session = await self._greet(channel)
            while session is not None:
                await self._packet(channel, session)
            farewell = _HTTP
        except (ConnectionError, EOFError, TimeoutError):
            log.debug("a client left")
        except asyncio.CancelledError:
            log.debug("a client was disconnected")
        except ServerError as error:
            farewell = protocol.exception(error)
        except Exception:
            log.exception("a client's connection failed")
            farewell = protocol.exception(ServerError(1001, "Internal error of the embedded server"))
        finally:
            try:
                await channel.close(farewell)
                if session is not None:
                    await session.close()
            finally:
                self._clients.discard(task)

    async def _greet(self, channel: Channel) -> Session | None:
        """The handshake; None for an HTTP client."""
        kind = await channel.packet()
        if kind in _FIRST_OF_HTTP:
            return None
        if kind != protocol.HELLO:
            raise ProtocolError(101, f"Unexpected packet {kind} from client: expected Hello")
        hello = await channel.parse(protocol.read_hello(channel.buffer))
        if hello.revision < protocol.OLDEST_REVISION:
            raise ServerError(48, f"A client of revision {hello.revision} is too old to be served")
        channel.revision = min(hello.revision, protocol.REVISION)
        user = self._users.authenticate(hello.user, hello.password)
        session = Session(self._engine, self._registry, user, hello.database)
        await session.check_database()
        await channel.send(protocol.hello(channel.revision, DISPLAY_NAME))
        await channel.parse(protocol.read_addendum(channel.buffer, channel.revision))
        return session

    async def _packet(self, channel: Channel, session: Session) -> None:
        kind = await channel.packet()
        if kind == protocol.PING:
            await channel.send(bytes([protocol.S_PONG]))
        elif kind == protocol.QUERY:
            query = await channel.parse(protocol.read_query(channel.buffer, channel.revision))
            await Runner(channel, self._engine, self._registry, session).run(query)
        elif kind in (protocol.DATA, protocol.SCALAR):
            raise ProtocolError(101, "Unexpected packet Data received from client: no query waits for data")
        elif kind not in (protocol.CANCEL, protocol.KEEP_ALIVE):  # a Cancel may cross the end of its query
            raise ProtocolError(99, f"Unknown or unsupported packet {kind} from client")
