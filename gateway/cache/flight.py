"""One computation for many who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[T]):
        self.task = task
        self.waiters = 0


class Flights(Generic[T]):
    """Running computations by key. The computation belongs to nobody: a waiter that leaves fails no other, and the last
    one to leave stops it."""

    def __init__(self, abandoned: Callable[[T], Coroutine[Any, Any, None]]):
        """`abandoned` is called with a result that came when nobody was left to take it."""
        self._flights: dict[Hashable, _Flight[T]] = {}
        self._abandoned = abandoned

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._flights

    async def join(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the flight under `key`, starting it when there is none.

        Raises:
            whatever the work raises, to everyone who waits; nothing of it is kept.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = _Flight(asyncio.create_task(work()))
            self._flights[key] = flight
            flight.task.add_done_callback(lambda _: self._land(key, flight))
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if flight.waiters == 1:
                await self._abandon(key, flight)
            raise
        finally:
            flight.waiters -= 1

    def detach(self, chosen: Callable[[Hashable], bool]) -> None:
        """Let nobody else join the flights whose key is `chosen`: what they compute from may be outdated."""
        for key in [key for key in self._flights if chosen(key)]:
            del self._flights[key]

    def _land(self, key: Hashable, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _abandon(self, key: Hashable, flight: _Flight[T]) -> None:
        self._land(key, flight)
        if flight.task.cancel():
            return
        if not flight.task.cancelled() and flight.task.exception() is None:
            await self._abandoned(flight.task.result())
