"""ClickHouse's HTTP interface, for the formats that the native protocol cannot carry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from asynch.proto.utils.dsn import parse_dsn
from yarl import URL

from contracts.errors import DeadlineExceeded
from services.kit import telemetry
from services.kit.clickhouse.errors import from_code, unavailable
from services.kit.clickhouse.wire import with_common

_CHUNK_BYTES: Final = 262_144
_CONNECT_SECONDS: Final = 5.0
_ERROR_BYTES: Final = 65_536


@asynccontextmanager
async def _until(deadline: float) -> AsyncIterator[None]:
    scope = asyncio.timeout_at(deadline)
    try:
        async with scope:
            yield
    except (aiohttp.ClientError, OSError) as error:
        if scope.expired():
            raise DeadlineExceeded("the time given for the answer is over") from error
        raise unavailable() from error


class RawStream:
    """The bytes of one result, as they come. Nothing is read ahead beyond a small buffer."""

    def __init__(self, reply: aiohttp.ClientResponse, deadline: float) -> None:
        self._content, self._deadline = reply.content, deadline
        self.finished = False
        """All bytes have been read."""
        self.rows_read, self.bytes_read = _progress(reply)
        """What had been read when the answer began; the whole of it for a small one."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes.

        Raises:
            DeadlineExceeded: the time is over.
            Unavailable: the server went away, or gave up in the middle: what was read is not a whole result.
        """
        async with _until(self._deadline):
            chunk = await self._content.read(_CHUNK_BYTES)
        if not chunk:
            self.finished = True
            raise StopAsyncIteration
        return chunk


def _progress(reply: aiohttp.ClientResponse) -> tuple[int, int]:
    try:
        summary = json.loads(reply.headers.get("X-ClickHouse-Summary", "{}"))
        return int(summary.get("read_rows", 0)), int(summary.get("read_bytes", 0))
    except ValueError:
        return 0, 0


class HttpInterface:
    """Requests with the login and database of the native URL."""

    def __init__(self, url: str, http_url: str, *, bare: bool = False) -> None:
        """`bare`: no setting is sent but those given, for a user who may change no other."""
        native = parse_dsn(url)
        self._bare = bare
        self._url = URL(http_url).with_user(None)  # a login here would contend with the one in the headers
        self._headers = {"X-ClickHouse-User": str(native.get("user", "default"))}
        if native.get("password"):
            self._headers["X-ClickHouse-Key"] = str(native["password"])
        self._database = str(native.get("database", "default"))
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Prepare; opens no connection yet."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=self._headers)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def stream(
        self, sql: str, format_: str, *, settings: Mapping[str, Any], query_id: str, timeout: float
    ) -> AsyncIterator[RawStream]:
        """Open a result; leaving closes its connection.

        Raises:
            As `ClickHouse.query`.
        """
        assert self._session is not None, "start() first"
        deadline = asyncio.get_running_loop().time() + timeout
        sent = settings if self._bare else with_common(settings)
        parameters = {name: str(value) for name, value in sent.items()}
        parameters |= {"database": self._database, "query_id": query_id, "default_format": format_}
        async with _until(deadline):
            reply = await self._session.post(
                self._url, params=parameters, data=sql.encode(), headers=telemetry.inject()
            )
        try:
            if reply.status != 200:
                async with _until(deadline):
                    text = (await reply.content.read(_ERROR_BYTES)).decode(errors="replace")
                code = reply.headers.get("X-ClickHouse-Exception-Code", "")
                raise from_code(int(code) if code.isdigit() else 0, text)
            yield RawStream(reply, deadline)
        finally:
            reply.close()
