"""All profiles of a workspace at once: the first time, or anew. Whatever was there before, the outcome is the same.

It goes by ranges of keys, each in a transaction of its own, so that it may be broken off anywhere and begun again, and
merges and new events are projected in between. Two ranges at a time: one is gathered while the other is written.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import asyncpg

from services.kit.identity import reload_identity
from services.kit.lifecycle import end
from services.profile import changes
from services.profile.locks import lock_shared
from services.profile.projection import gathering, profiles, second, statements, traits
from services.profile.projection.profiles import Removed, Written
from services.profile.projection.project import said, version_of
from services.profile.projection.statements import Scope
from services.profile.resources import Resources

PEOPLE: Final = 16_000
"""About as many in a range: they are held in memory together."""
_KEYS: Final = 1 << 64
_AT_ONCE: Final = 2
_TRIES: Final = 5
_ORPHANS: Final = """
DELETE FROM profiles p WHERE p.workspace_id = $1
    AND NOT EXISTS (SELECT FROM profile.trait_origins o WHERE o.profile_id = p.id)
"""
_SOME: Final = "SELECT EXISTS (SELECT FROM profile.identities WHERE workspace_id = $1)"


async def rebuild(resources: Resources, workspace: UUID, *, publish: bool = True) -> int:
    """Make all profiles of a workspace what they must be; return how many there are.

    `publish`: tell others of what differed.

    Raises:
        As `project`; what was done until then stays.
    """
    clickhouse = resources.clickhouse
    await second.settle(clickhouse, workspace, resources.settings.clickhouse_cluster)
    await reload_identity(clickhouse, cluster=resources.settings.clickhouse_cluster)
    async with resources.postgres.connection() as connection:
        began = await version_of(connection)
        await connection.execute(_ORPHANS, workspace, timeout=profiles.SECONDS)
        # Killed and begun again there are some: those are compared.
        new = not publish and not await connection.fetchval(_SOME, workspace)
    result = await clickhouse.query(statements.size(workspace), query_id=uuid.uuid4().hex, timeout=gathering.SECONDS)
    left = ranges(next(result.rows())[0])
    tasks = [
        asyncio.create_task(_ranges(resources, workspace, left, publish=publish, new=new)) for _ in range(_AT_ONCE)
    ]
    try:
        people = sum(await asyncio.gather(*tasks))
    finally:
        await end(tasks)
    await clickhouse.execute(traits.unset_before(workspace, began), timeout=gathering.SECONDS)
    return people


def ranges(people: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of all keys (first, last), for so many people. None holds keys of both signs in PostgreSQL."""
    number = 2
    while number * PEOPLE < people:
        number *= 2
    width = _KEYS // number
    for first in range(0, _KEYS, width):
        yield first, first + width - 1


async def _ranges(
    resources: Resources, workspace: UUID, left: Iterator[tuple[int, int]], *, publish: bool, new: bool
) -> int:
    """Make the profiles of the ranges that are left, which others take from as well; return how many."""
    people = 0
    for keys in left:
        for tried in range(1, _TRIES + 1):
            try:
                people += await _range(resources, workspace, keys, publish=publish, new=new)
                break
            except asyncpg.UniqueViolationError:  # somebody was merged meanwhile
                if not new:
                    raise
                new = False
            except asyncpg.DeadlockDetectedError:  # ids that moved between two ranges, both ways
                if tried == _TRIES:
                    raise
    return people


async def _range(resources: Resources, workspace: UUID, keys: tuple[int, int], *, publish: bool, new: bool) -> int:
    """Make the profiles of a range, of which there are none yet if it is `new`; return how many."""
    written: list[Written] = []
    removed: list[Removed] = []
    async with resources.postgres.connection() as connection, connection.transaction():
        await lock_shared(connection, workspace)
        blocked = await gathering.blocked(resources.clickhouse, workspace)
        scope = Scope(workspace, blocked, keys)
        persons = await gathering.gather(resources.clickhouse, connection, scope)
        version = await version_of(connection)
        if new:
            await profiles.write_new(connection, workspace, persons)
        else:
            old = await profiles.old_of_range(connection, workspace, keys)
            written = await profiles.write(connection, workspace, persons)
            removed = await profiles.remove(connection, workspace, old=old, keys=(), persons=persons)
        if publish:
            await changes.put_down(connection, await said(resources, workspace, written, removed, version))
        # All of them, for what was there may be anything. Begun again, it writes them again.
        await traits.insert(resources.clickhouse, workspace, list(traits.of_all(persons, version)))
    resources.metrics.count("cdp_profiles_written_total", by=len(persons) if new else len(written))
    resources.metrics.count("cdp_profiles_removed_total", by=len(removed))
    if publish:
        touched = [*(each.person.profile for each in written), *(each.profile for each in removed)]
        await changes.drop(resources.bus, workspace, touched)
    return len(persons)
