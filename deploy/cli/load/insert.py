"""Batches into ClickHouse through its HTTP interface, as streams of Native blocks.

What the engine refuses as data is tried again in halves, so that a poisonous row costs only itself; what it refuses for
a while (no answer, too many parts) is tried again later; anything else ends the load.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
from asynch.proto.utils.dsn import parse_dsn
from yarl import URL

from contracts.common import TABLES, TableName
from deploy.cli.load.chunk import Reject
from deploy.cli.load.errors import LoadError
from deploy.cli.load.piece import Piece
from deploy.cli.load.plan import JSON_COLUMN
from services.kit.settings import Settings

WRITER_SETTINGS: Final[Mapping[str, str]] = {
    # Otherwise "2024-01-01T00:00:00+07:00" in properties becomes a UTC time, and two spellings of one path an error.
    "input_format_try_infer_dates": "0",
    "input_format_try_infer_datetimes": "0",
    "type_json_skip_duplicated_paths": "1",
    "max_partitions_per_insert_block": "0",
    "async_insert": "0",
    # Rows of one message in one INSERT wait for a merge, as those of two do: looking for them took half of each INSERT.
    "optimize_on_insert": "0",
}
_ENDS_THE_LOAD: Final = frozenset({16, 36, 47, 50, 60, 62, 81, 115, 164, 192, 193, 194, 243, 497, 516})
"""No such table, column or setting; not allowed; disk full: other rows would fare no better."""
_PASSES: Final = frozenset({159, 202, 203, 209, 210, 225, 236, 242, 252, 290, 319, 394, 425, 439, 735, 999})
"""Time-outs, too many parts or queries, shutting down, replicas away."""
_MEMORY: Final = 241
_REASON: Final = re.compile(
    r"(?:Code: \d+\. )?(?:DB::Exception: )?(.*?)(?:: (?:while|While|\(at row|\(in file).*| \(version .*)?", re.S
)
_HOPELESS: Final = 1_000
"""Rows refused one by one, none accepted, after which it is not the rows."""


@dataclass(frozen=True)
class Refused(Exception):
    """The engine's answer to an INSERT that it did not take."""

    code: int
    message: str


@dataclass(frozen=True)
class Batch:
    """Pieces of one table with the same columns, and the INSERT's body."""

    table: TableName
    columns: tuple[str, ...]
    pieces: tuple[Piece, ...]
    body: tuple[bytes, ...]
    position: int
    """Bytes of the file that had been read."""


class Inserter:
    """`waiting` is told when the engine does not answer and the load waits for it, `patience` seconds at most."""

    def __init__(
        self, settings: Settings, workspace: bytes, *, waiting: Callable[[str], None], patience: float = 60.0
    ) -> None:
        native = parse_dsn(settings.clickhouse_url)
        self._url = URL(settings.clickhouse_http_url)
        self._database = str(native.get("database") or "default")
        self._headers = {"X-ClickHouse-User": str(native.get("user") or "default")}
        if native.get("password"):
            self._headers["X-ClickHouse-Key"] = str(native["password"])
        self._workspace = workspace
        self._waiting = waiting
        self._patience = patience
        self._accepted = self._refused = 0
        self._session: aiohttp.ClientSession | None = None
        self.types: Mapping[TableName, Mapping[str, str]] = {}
        """Of each event table, the types of its columns by name."""

    async def start(self) -> None:
        """Connect and read what the tables look like.

        Raises:
            LoadError: ClickHouse does not answer, refuses the login, or has no event tables.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=600)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=self._headers)
        names = ", ".join(f"'events_{table}'" for table in TABLES)
        sql = f"SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN ({names})"
        try:
            answer = await self._post({"query": f"{sql} FORMAT JSONCompactEachRow"}, b"")
        except Refused as error:
            raise LoadError(f"ClickHouse refuses to be asked: {_reason(error.message)}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise LoadError(
                f"ClickHouse does not answer at {self._url}: {str(error) or type(error).__name__}"
            ) from error
        rows: list[tuple[str, str, str]] = msgspec.json.Decoder(tuple[str, str, str]).decode_lines(answer)
        types: dict[TableName, dict[str, str]] = {table: {} for table in TABLES}
        for table in TABLES:
            types[table] = {name: type_ for owner, name, type_ in rows if owner == f"events_{table}"}
            if JSON_COLUMN[table] not in types[table]:
                raise LoadError(
                    f"ClickHouse has no table {self._database}.events_{table}: run `cdp clickhouse up` first"
                )
        self.types = types

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def insert(self, batch: Batch, reject: Callable[[Reject], None]) -> list[Piece]:
        """Insert a batch; return the pieces that were taken, after every other row has gone to `reject`.

        Raises:
            LoadError: the engine does not come back, or takes nothing.
        """
        return await self._insert(batch, batch.pieces, batch.body, reject)

    async def _insert(
        self, batch: Batch, pieces: Sequence[Piece], body: Sequence[bytes], reject: Callable[[Reject], None]
    ) -> list[Piece]:
        rows = sum(map(len, pieces))
        try:
            await self._patiently(batch, b"".join(body), splits=rows > 1)
        except Refused as error:
            if rows == 1:
                self._refuse(error, rows)
                reject(pieces[0].reject(0, f"refused by ClickHouse: {_reason(error.message)}"))
                return []
        else:
            self._accepted += rows
            return list(pieces)
        taken: list[Piece] = []
        for part in _halves(pieces):
            again = [piece.encode(self._workspace, self.types[batch.table]) for piece in part]
            taken += await self._insert(batch, part, again, reject)
        return taken

    def _refuse(self, error: Refused, rows: int) -> None:
        self._refused += rows
        if self._refused >= _HOPELESS and not self._accepted:
            raise LoadError(f"ClickHouse refuses every row: {_reason(error.message)}")

    async def _patiently(self, batch: Batch, body: bytes, *, splits: bool) -> None:
        """Send an INSERT until it is taken or refused as data.

        Raises:
            Refused: as data.
            LoadError: for good, or for longer than the patience.
        """
        sql = f"INSERT INTO events_{batch.table} ({', '.join(batch.columns)}) FORMAT Native"
        loop = asyncio.get_running_loop()
        started, pause = loop.time(), 0.25
        while True:
            try:
                await self._post({"query": sql, **WRITER_SETTINGS}, body)
                return
            except Refused as error:
                if error.code in _ENDS_THE_LOAD:
                    raise LoadError(f"ClickHouse refuses the load: {_reason(error.message)}") from error
                if error.code not in _PASSES and (error.code != _MEMORY or splits):
                    raise
                problem = _reason(error.message)
            except (aiohttp.ClientError, OSError) as error:
                problem = f"ClickHouse does not answer ({str(error) or type(error).__name__})"
            if loop.time() - started > self._patience:
                raise LoadError(f"{problem}: given up after {self._patience:.0f} s; run the load again when it is back")
            self._waiting(problem)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _post(self, parameters: Mapping[str, str], body: bytes) -> bytes:
        assert self._session is not None, "start() first"
        given: dict[str, Any] = {"database": self._database, **parameters}
        async with self._session.post(self._url, params=given, data=body) as answer:
            data = await answer.read()
            code = answer.headers.get("X-ClickHouse-Exception-Code", "")
            if answer.status != 200 or code:
                raise Refused(int(code) if code.isdigit() else 0, data.decode(errors="replace"))
            return data


def _halves(pieces: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece]]:
    if len(pieces) > 1:
        middle = len(pieces) // 2
        return pieces[:middle], pieces[middle:]
    middle = len(pieces[0]) // 2
    return (pieces[0].slice(0, middle),), (pieces[0].slice(middle, len(pieces[0])),)


def _reason(message: str) -> str:
    match = _REASON.fullmatch(message.strip())
    text = (match[1] if match else message).strip().rstrip(".")
    return text if len(text) <= 300 else text[:299] + "…"
