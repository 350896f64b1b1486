"""The data of an INSERT on its way into the engine."""

from __future__ import annotations

from .engine import Engine, Insert
from .errors import ServerError
from .native import Column


class Intake:
    """Feeds an INSERT. After a failure it swallows the rest, so that the client can be told at the end of its data."""

    def __init__(self, engine: Engine, insert: Insert) -> None:
        self._engine = engine
        self._insert = insert
        self._failure: ServerError | None = None
        self._open = True

    async def append(self, data: bytes) -> None:
        if self._failure is None:
            try:
                await self._engine.run(self._insert.append, data)
            except ServerError as error:
                self._failure = error

    def expect(self, columns: list[Column], received: list[Column]) -> None:
        """Note an error when a block has other columns than were asked for."""
        names, given = [name for name, _ in columns], [name for name, _ in received]
        if received and sorted(names) != sorted(given) and self._failure is None:
            self._failure = ServerError(10, f"Block has columns {given}, expected {names}")

    async def finish(self) -> int:
        """Commit and return the number of rows written, or raise what went wrong."""
        if self._failure is not None:
            raise self._failure
        self._open = False
        return await self._engine.run(self._insert.finish)

    async def abandon(self) -> None:
        """Roll back unless committed."""
        if self._open:
            self._open = False
            await self._engine.run(self._insert.cancel)
