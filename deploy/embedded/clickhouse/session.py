"""What a client's connection keeps between queries: user, database, settings, on an engine connection of its own.

Settings sent with a query hold for that query only. The engine connection keeps them until a query comes with others,
so a client that always sends the same ones costs nothing.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from . import guard
from .engine import TAG_SETTING, Connection, Engine, set_statement
from .errors import ServerError
from .intake import Intake
from .native import Column
from .registry import KILL_INTERVAL, Registry, Running
from .statements import Kind, Statement, parse
from .tokens import literal, quote, scan
from .users import User

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_READING = (Kind.SELECT, Kind.READ, Kind.SET, Kind.USE, Kind.KILL)


@dataclass(frozen=True)
class Setting:
    """A setting sent with a query; an unknown one is an error only when ``important``."""

    value: str
    important: bool = True


class Session:
    """One client's state. One query at a time."""

    def __init__(self, engine: Engine, registry: Registry, user: User, database: str) -> None:
        self._engine = engine
        self._registry = registry
        self.user = user
        self.database = database or "default"
        self._settings: dict[str, str] = {}
        self._sent: dict[str, str] = {}
        self._connection: Connection | None = None
        self._sealed = False
        self._external: list[str] = []

    async def check_database(self) -> None:
        """ServerError 81 when the session's database does not exist."""
        if self.database == "default":
            return
        found = await self._engine.control(f"EXISTS DATABASE {quote(self.database)}", "TSV")
        if found.strip() != b"1":
            raise ServerError(81, f"Database {self.database} does not exist")

    async def use_database(self, name: str) -> None:
        """Make a database the current one, "" for no change; ServerError 81 when it does not exist."""
        if name and name != self.database:
            self.database = name
            if self._connection is not None:
                await self._engine.run(self._connection.execute, f"USE {quote(name)}")
        await self.check_database()

    @asynccontextmanager
    async def query(
        self, query_id: str, sql: str, settings: dict[str, Setting], parameters: dict[str, str]
    ) -> AsyncIterator[tuple[Statement, Running]]:
        """A query from its classification to its end: allowed, set up, registered and killable meanwhile."""
        statement = parse(sql)
        wanted = self._wanted(settings)
        if self._sealed and wanted != self._sent:
            await self.close()  # nothing changes the settings of a sealed connection any more
        connection = await self._connected()
        await self._apply(connection, wanted, parameters)
        running = Running(query_id or str(uuid.uuid4()), self.user.name, sql, connection)
        self._registry.add(running)
        try:
            if self.user.readonly:
                await self._guard(connection, statement)
            yield statement, running
        except ServerError as error:
            if running.killed and error.code == 210:
                raise ServerError(394, "Query was cancelled.") from None
            raise
        finally:
            self._registry.remove(running)
            if statement.kind not in _READING:
                self._engine.writes += 1

    async def _guard(self, connection: Connection, statement: Statement) -> None:
        """Check what a read-only user sends. Resolving it runs its scalar sub-queries: whoever leaves stops them."""
        if not self._sealed:
            await self._engine.run(connection.execute, "SET readonly = 1")
            self._sealed = True
        checking = asyncio.create_task(self._engine.run(guard.check, self._engine, connection, statement, self.user))
        try:
            await asyncio.shield(checking)
        except asyncio.CancelledError:
            while not checking.done():
                await self._engine.stop_query(connection)
                await asyncio.wait([checking], timeout=KILL_INTERVAL)
            checking.exception()  # it is known why, and nobody else asks
            raise

    async def execute(self, statement: Statement, running: Running, output_format: str = "Native") -> bytes:
        """Run a statement that does not stream; returns its whole result."""
        if statement.kind is Kind.KILL:
            return await self._registry.kill_matching(statement.condition, statement.mode, output_format)
        if TAG_SETTING in statement.assignments:
            raise ServerError(164, f"Setting {TAG_SETTING} is reserved")
        result = await self._engine.run(running.connection.execute, statement.sql, output_format)
        if statement.kind is Kind.USE:
            self.database = statement.database
        for name, value in statement.assignments.items():
            self._settings[name] = value
            self._sent.pop(name, None)
        return result

    async def external_table(self, name: str, columns: list[Column], block: bytes) -> None:
        """Put a Native block into a temporary table that the next query only will see."""
        if self._sealed:
            await self.close()
        connection = await self._connected()
        shape = ", ".join(f"{quote(column)} {kind}" for column, kind in columns)
        if name not in self._external:
            create = f"CREATE TEMPORARY TABLE {quote(name)} ({shape}) ENGINE = Memory"
            await self._engine.run(connection.execute, create)
            self._external.append(name)
        intake = await Intake(self._engine, connection).start(f"INSERT INTO {quote(name)}", "Native")
        try:
            await intake.append(block)
            await intake.finish()
        finally:
            await intake.abandon()

    async def drop_external_tables(self) -> None:
        names, self._external = self._external, []
        if self._connection is not None and not self._sealed:
            for name in names:
                await self._engine.run(self._connection.execute, f"DROP TEMPORARY TABLE IF EXISTS {quote(name)}")
        elif names:
            await self.close()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self._sealed, self._sent = False, {}
        if connection is not None:
            await self._engine.run(connection.close)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._engine.run(self._open)
        return self._connection

    def _open(self) -> Connection:
        connection = self._engine.connect()
        try:
            if self.user.settings:
                connection.execute(set_statement({name: literal(value) for name, value in self.user.settings.items()}))
            if self.database != "default":
                connection.execute(f"USE {quote(self.database)}")
        except ServerError:
            connection.close()
            raise
        return connection

    async def _apply(self, connection: Connection, wanted: dict[str, str], parameters: dict[str, str]) -> None:
        """Bring the engine connection to the settings and parameters of this query."""
        if wanted != self._sent:
            change = {name: self._settings.get(name, "DEFAULT") for name in self._sent if name not in wanted}
            change |= {name: value for name, value in wanted.items() if self._sent.get(name) != value}
            await self._engine.run(connection.execute, set_statement(change))
            self._sent = wanted
        if parameters:
            values = {f"param_{_checked(name)}": _parameter(value) for name, value in parameters.items()}
            await self._engine.run(connection.execute, set_statement(values))

    def _wanted(self, settings: dict[str, Setting]) -> dict[str, str]:
        """The settings to set for a query, as literals; ServerError 164 for one that a read-only user may not send."""
        wanted = {}
        for name, setting in settings.items():
            known = name in self._engine.settings
            if name == TAG_SETTING or (not known and not setting.important):
                continue
            if self.user.readonly and name not in self.user.sendable:
                if setting.value != self.user.settings.get(name):
                    raise ServerError(164, f"Cannot modify '{name}' setting in readonly mode")
                continue
            if not known:
                raise ServerError(115, f"Unknown setting '{name}'")
            wanted[_checked(name)] = literal(setting.value)
        return wanted


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise ServerError(36, f"Not a name: {name[:100]!r}")
    return name


def _parameter(value: str) -> str:
    """Clients send a parameter as a string literal; a bare value is taken as it is."""
    found = list(scan(value))
    if len(found) == 1 and found[0].kind == "string" and found[0].text == value:
        return value
    return literal(value)
