"""One connection to ClickHouse: asynch's protocol connection, and what must be known of its inner state.

Nothing else in the project touches asynch's connection, so that the driver can be exchanged here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from asynch.errors import ServerException
from asynch.proto.connection import Connection
from asynch.proto.streams.buffered import BufferedReader

from contracts.errors import DeadlineExceeded
from services.kit import telemetry
from services.kit.clickhouse.errors import LOST, from_server, unavailable

_COMMON: Final[Mapping[str, Any]] = {
    "max_query_size": 16_777_216,  # predicates with thousands of values; the server's default is 256 KiB
    "type_json_skip_null_typed_paths": 1,  # a path with a type hint that a row lacks is absent, not null
}


def with_common(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a statement with those every statement has, booleans as numbers."""
    return {name: int(value) if isinstance(value, bool) else value for name, value in {**_COMMON, **settings}.items()}


# It warns of every refused connection, which is raised as well; at debug level it writes statements, which hold ids.
logging.getLogger("asynch").setLevel(logging.ERROR)


async def _text(reader: Any, length: int, as_bytes: bool = False) -> bytes | str:
    text = bytes(await reader.read_bytes(length))
    return text if as_bytes else text.decode()


# asynch 0.4.0 gives a bytearray, no `bytes` and no key of a dict, for a text that two reads of the socket share.
setattr(BufferedReader, "read_fixed_str", _text)  # noqa: B010 - a method to the type checker


class Wire:
    """Runs one statement at a time. Opens itself, and again when the server has closed it meanwhile.

    `pending`: a statement was sent whose end was not seen, so that the server may still be at work on it.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        connection: Any = Connection  # its stubs leave most attributes out
        self._driver = connection(**options)
        self._packets: AsyncIterator[Any] | None = None
        self.pending = False

    @property
    def connected(self) -> bool:
        """Whether it was connected when last seen."""
        return bool(self._driver.connected)

    @property
    def rows_read(self) -> int:
        """Rows the server has read for the last statement, so far."""
        return int(self._driver.last_query.progress.rows)

    @property
    def bytes_read(self) -> int:
        """Bytes the server has read for the last statement, before compression, so far."""
        return int(self._driver.last_query.progress.bytes)

    async def ask(
        self, sql: str, *, query_id: str, settings: Mapping[str, Any], external: Sequence[Mapping[str, Any]]
    ) -> None:
        """Send a reading statement, whose answer `block` then gives."""
        self.pending = True
        # Values never travel beside the statement: the driver substitutes them unescaped.
        result = await self._driver.execute_iter(
            sql, query_id=query_id, settings=_sent(settings), external_tables=list(external)
        )
        self._packets = result.packet_generator

    async def block(self) -> Any | None:
        """Return the answer's next block, or None. A block has `columns_with_types`, `num_rows`, `get_columns()`."""
        assert self._packets is not None, "ask() first"
        packet = await anext(self._packets, None)
        if packet is None:
            self._packets, self.pending = None, False
            return None
        return packet.block

    async def run(self, sql: str, *, query_id: str, settings: Mapping[str, Any]) -> None:
        """Run a statement to its end, without its result."""
        self.pending = True
        await self._driver.execute(sql, query_id=query_id, settings=_sent(settings), columnar=True)
        self.pending = False

    async def insert(self, sql: str, data: list[list[Any]], *, query_id: str, settings: Mapping[str, Any]) -> None:
        """Run an INSERT with blocks of columns."""
        self.pending = True
        await self._driver.execute(sql, data, query_id=query_id, settings=_sent(settings), columnar=True)
        # asynch 0.4.0 reads one packet after the data; servers send others before the end of the stream.
        while self._driver.is_query_executing:
            async for _ in self._driver.packet_generator():
                pass
        self.pending = False

    def drop(self) -> None:
        """Close at once, whatever is under way. Neither waits nor raises; the next statement connects again."""
        writer = self._driver.writer
        if writer is not None and writer.writer is not None:
            writer.writer.transport.abort()
        self._driver.reset_state()
        self._packets, self.pending = None, False

    @asynccontextmanager
    async def until(self, deadline: float) -> AsyncIterator[None]:
        """Translate what goes wrong in the block, and end it at `deadline`, in the loop's time.

        Raises:
            DeadlineExceeded: `pending` tells whether the server was at work.
            LimitExceeded, TooManyRequests, ClickHouseError: from the server; the connection stays good.
            Unavailable: the connection is lost and dropped.
        """
        scope = asyncio.timeout_at(deadline)
        try:
            async with scope:
                yield
        except ServerException as error:
            self._packets, self.pending = None, False
            raise from_server(error) from error
        except LOST as error:
            if scope.expired():
                raise DeadlineExceeded("the time given for the answer is over") from error
            self.drop()
            raise unavailable() from error


def _sent(settings: Mapping[str, Any]) -> dict[str, Any]:
    sent = with_common(settings)
    if trace := telemetry.inject():
        sent["opentelemetry_traceparent"] = trace["traceparent"]
        sent["opentelemetry_tracestate"] = trace.get("tracestate", "")
    return sent
