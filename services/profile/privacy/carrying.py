"""Carrying deletions out, store by store, until all are done: begun anew after any failure, and by any process."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeVar

import nats.errors

from contracts import subjects
from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.common import TABLES, Actor
from contracts.errors import CdpError
from contracts.privacy import Forget, Forgotten, Store
from services.kit import identity
from services.kit.clickhouse import ClickHouseError
from services.kit.identity import Blocked, actor_key_of
from services.kit.lifecycle import end, synchronize
from services.kit.logs import log
from services.profile.ids import Kind
from services.profile.privacy import events_sql, store, streams
from services.profile.privacy.store import Task
from services.profile.projection.people import clean
from services.profile.resources import Resources

T = TypeVar("T")
_EVERY_SECONDS: Final = 5.0
_STATEMENT_SECONDS: Final = 600.0
"""A statement may have to look at every row of a workspace, and to wait for merges."""
_ACTORS_AT_ONCE: Final = 1_000
"""As many as a request of `query.forget` may name."""
_KEYS_AT_ONCE: Final = 1_000


async def _named(resources: Resources, task: Task) -> Task:
    """Return a deletion with the ids of the rows that came in after it was done, when it forgot the ids, too."""
    if task.actors:
        return task
    blocked = await _blocked(resources, task)
    found: set[tuple[Kind, str]] = set()
    for keys in _chunks(sorted(task.keys), _KEYS_AT_ONCE):
        statement = events_sql.ids(task.workspace, keys, blocked)
        rows = await resources.clickhouse.query(statement, query_id=uuid.uuid4().hex, timeout=_STATEMENT_SECONDS)
        for user_id, anonymous_id in rows.rows():
            found |= {("user", clean(user_id)), ("anonymous", clean(anonymous_id))}
    named = ((kind, id_) for kind, id_ in sorted(found) if actor_key_of(task.workspace, kind, id_) in task.keys)
    actors = tuple(Actor(kind=kind, id=id_) for kind, id_ in named)
    await store.name(resources.postgres, task.id, actors)
    return replace(task, actors=actors)


async def _blocked(resources: Resources, task: Task) -> Blocked | None:
    settings = await resources.workspaces.get(task.workspace)
    return Blocked.of(task.workspace, settings.blocked_ids)


async def _from_clickhouse(resources: Resources, task: Task) -> None:
    blocked = await _blocked(resources, task)
    cluster = resources.settings.clickhouse_cluster
    for keys in _chunks(sorted(task.keys), _KEYS_AT_ONCE):
        for table in TABLES:
            await _execute(resources, events_sql.unnamed(table, task.workspace, keys, blocked))
        for name, condition in events_sql.conditions(task.workspace, keys, blocked).items():
            result = await resources.clickhouse.query(
                events_sql.partitions(name, condition), query_id=uuid.uuid4().hex, timeout=_STATEMENT_SECONDS
            )
            for (partition,) in result.rows():
                await _execute(resources, events_sql.removed(name, condition, partition.decode(), cluster=cluster))
    await identity.reload_identity(resources.clickhouse, cluster=cluster)


async def _execute(resources: Resources, statement: str) -> None:
    await resources.clickhouse.execute(statement, timeout=_STATEMENT_SECONDS)


async def _from_query(resources: Resources, task: Task) -> None:
    for actors in _chunks(task.actors, _ACTORS_AT_ONCE):
        answer: Forgotten = await resources.bus.ask(
            task.workspace, "query.forget", Forget(actors=tuple(actors)), timeout=60.0
        )
        log(logging.INFO, "forgotten by the query service", entries=answer.list_entries, statements=answer.statements)


async def _from_jetstream(resources: Resources, task: Task) -> None:
    users = {actor.id for actor in task.actors if actor.kind == "user"}
    await streams.forget(resources.bus.connection, task.workspace, task.profiles, users)


async def _from_cache(resources: Resources, task: Task) -> None:
    tags = ("workspace", "profiles", *(f"profile:{profile}" for profile in task.profiles))
    drop = CacheDrop(workspace_id=task.workspace, tags=tags)
    await resources.bus.connection.publish(subjects.CACHE_DROP, encode(drop))
    await synchronize(resources.bus.connection)


_STEPS: Final[Mapping[Store, Callable[[Resources, Task], Awaitable[None]]]] = MappingProxyType(
    {
        "clickhouse": _from_clickhouse,
        "query": _from_query,
        "jetstream": _from_jetstream,
        # The last: what is asked while the others are at work may be kept once more.
        "cache": _from_cache,
    }
)


async def carry_out(resources: Resources, task: Task) -> None:
    """Do what is left of one deletion. Two processes at once do no harm.

    Raises:
        CdpError, ClickHouseError, nats.errors.Error: a store does not answer; the next try goes on from there.
    """
    task = await _named(resources, task)
    for name, step in _STEPS.items():
        if name not in task.done:
            await step(resources, task)
            await store.done(resources.postgres, task.id, name)


class Carrier:
    """Carries out what is open, soon after it was recorded."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block runs."""
        task = asyncio.create_task(self._work(), name="deletions")
        try:
            yield
        finally:
            await end([task])

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            await self._try(self._all)
            try:
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _all(self) -> None:
        for task in await store.open_tasks(self._resources.postgres):
            await self._try(partial(carry_out, self._resources, task))

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (CdpError, nats.errors.Error, OSError) as error:
            log(logging.WARNING, "a deletion waits", reason=type(error).__name__)
        except ClickHouseError as error:
            log(logging.ERROR, "a deletion waits: ClickHouse refuses a statement", reason=error.name)
        except Exception as error:  # one that cannot be carried out must not keep the others from it
            log(logging.ERROR, "a deletion could not be carried out", error=error)


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk
