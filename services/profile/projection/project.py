"""Making profiles what they must be: gather people from ClickHouse, write what differs, tell what did."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from contracts.durable import ProfileChanged
from contracts.errors import Unavailable
from services.profile import changes
from services.profile.locks import lock
from services.profile.projection import gathering, profiles, traits
from services.profile.projection.profiles import Removed, Written
from services.profile.projection.statements import Scope
from services.profile.resources import Resources

_TRIES: Final = 5
_VERSION: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_SEEN: Final = frozenset({"first_seen_at", "last_seen_at"})


async def project(resources: Resources, workspace: UUID, keys: Collection[int]) -> tuple[ProfileChanged, ...]:
    """Make the profiles of whoever has one of these keys (0 … 2^64 - 1), or had, what they must be.

    Returns what is published of it, by `services.profile.changes`. Where ingestion owns the profiles nothing is done.
    The dictionary must know of all links and merges: `services.kit.identity.reload_identity`.

    Raises:
        Unavailable: a store does not answer, or links change faster than they can be followed; repeat it.
        DeadlineExceeded, ClickHouseError: as `ClickHouse.query`.
    """
    if resources.settings.profiles_source == "external" or not keys:
        return ()
    for _ in range(_TRIES):
        async with resources.postgres.connection() as connection, connection.transaction():
            await lock(connection, workspace)
            roots, old = await _concerned(resources, connection, workspace, keys)
            blocked = await gathering.blocked(resources.clickhouse, workspace)
            persons = await gathering.gather(resources.clickhouse, connection, Scope(workspace, blocked), roots)
            if not {person.key for person in persons}.issubset(roots.values()):
                continue  # the dictionary was reloaded in between: these people are not whole
            version = await version_of(connection)
            written = await profiles.write(connection, workspace, persons)
            removed = await profiles.remove(connection, workspace, old=old, keys=roots, persons=persons)
            told = await said(resources, workspace, written, removed, version)
            await changes.put_down(connection, told)
            rows = [*traits.of_written(written, version), *traits.of_removed(removed, version)]
            number = await traits.put_down(connection, workspace, rows) if rows else None
        if number is not None:
            await traits.insert(resources.clickhouse, workspace, rows)
            await traits.sent(resources.postgres, number)
        resources.metrics.count("cdp_profiles_written_total", by=len(written))
        resources.metrics.count("cdp_profiles_removed_total", by=len(removed))
        touched = [*(each.person.profile for each in written), *(each.profile for each in removed)]
        await changes.drop(resources.bus, workspace, touched)
        return tuple(told)
    raise Unavailable("links change too fast to be followed", retry_after=1)


async def _concerned(
    resources: Resources, connection: asyncpg.Connection, workspace: UUID, keys: Collection[int]
) -> tuple[dict[int, int], frozenset[UUID]]:
    """Return every key whose profile is or will be one of those that some keys have or will have, each with the key it
    leads to, and these profiles as they are now."""
    wider = frozenset(keys)
    while True:
        held, old = await profiles.old_of_keys(connection, workspace, wider)
        known = held | wider
        roots = await gathering.related(resources.clickhouse, known)
        if known.issuperset(roots):
            return roots, old
        wider = known.union(roots)


async def version_of(connection: asyncpg.Connection) -> int:
    """Return the version of what is written now: PostgreSQL's clock, in microseconds, which all writers share."""
    version: int = await connection.fetchval(_VERSION)
    return version


async def said(
    resources: Resources, workspace: UUID, written: Sequence[Written], removed: Sequence[Removed], version: int
) -> list[ProfileChanged]:
    """Return what others are told of. That somebody was seen again is not."""
    told = [
        ProfileChanged(
            workspace_id=workspace,
            profile_id=each.person.profile,
            change="created" if each.created else "updated",
            fields=() if each.created else each.fields,
            traits=each.traits,
            version=version,
        )
        for each in written
        if each.created or not _SEEN.issuperset(each.fields)
    ]
    into = await gathering.targets(resources.clickhouse, workspace, [each.key for each in removed])
    for gone in removed:
        target = into.get(gone.key)
        told.append(
            ProfileChanged(
                workspace_id=workspace,
                profile_id=gone.profile,
                change="deleted" if target is None else "merged",
                into=target,
                version=version,
            )
        )
    return told
