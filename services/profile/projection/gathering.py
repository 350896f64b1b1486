"""Reading people from ClickHouse."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection, Iterable
from itertools import starmap
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from services.kit.clickhouse import ClickHouse, External, Result
from services.profile.ids import Kind, profile_id, unsigned
from services.profile.projection import statements
from services.profile.projection.people import Identify, Person, Seen, clean, people
from services.profile.projection.statements import Scope

SECONDS: Final = 60.0
"""For a statement: one may look at every row of a workspace."""
_SETTINGS: Final = {
    "do_not_merge_across_partitions_select_final": 1,
    "max_bytes_before_external_sort": 268_435_456,
    # Traits are kept as predicates compare them: compact JSON.
    "output_format_json_escape_forward_slashes": 0,
    "output_format_json_quote_64bit_integers": 0,
    # What it remembers of a condition is of no use: the keys asked for are always others.
    "use_query_condition_cache": 0,
}
_KINDS: Final[dict[int, Kind]] = {1: "user", 2: "anonymous"}
_SUPPRESSED: Final = "SELECT actor_key FROM profile.suppressions WHERE workspace_id = $1"


class Rows(NamedTuple):
    """What `people` makes people of."""

    seen: Iterable[Seen]
    identifies: Iterable[Identify]
    suppressed: Collection[int]


async def related(clickhouse: ClickHouse, keys: Collection[int]) -> dict[int, int]:
    """Return every key that belongs where one of `keys` does, with where that is."""
    result = await _query(clickhouse, statements.related(), keys)
    return dict(result.rows())


async def targets(clickhouse: ClickHouse, workspace: UUID, keys: Collection[int]) -> dict[int, UUID]:
    """Return the profiles that keys which are not the end of their chain lead to."""
    if not keys:
        return {}
    result = await _query(clickhouse, statements.targets(), keys)
    return {key: profile_id(workspace, _KINDS[kind], clean(id_)) for key, kind, id_ in result.rows()}


async def blocked(clickhouse: ClickHouse, workspace: UUID) -> frozenset[int]:
    """Return the keys of the ids that a workspace blocks."""
    result = await _query(clickhouse, statements.blocked(workspace))
    return frozenset(key for (key,) in result.rows())


async def gather(
    clickhouse: ClickHouse, connection: asyncpg.Connection, scope: Scope, keys: Collection[int] = ()
) -> list[Person]:
    """Return the people in a scope, without what is suppressed.

    Raises:
        As `ClickHouse.query`.
    """
    return people(scope.workspace, *await rows(clickhouse, connection, scope, keys))


async def rows(
    clickhouse: ClickHouse, connection: asyncpg.Connection, scope: Scope, keys: Collection[int] = ()
) -> Rows:
    """Return what tells of the people in a scope.

    Raises:
        As `ClickHouse.query`.
    """
    seen, identifies = await asyncio.gather(
        _query(clickhouse, statements.seen(scope), keys), _query(clickhouse, statements.identifies(scope), keys)
    )
    suppressed = {unsigned(row[0]) for row in await connection.fetch(_SUPPRESSED, scope.workspace)}
    return Rows(starmap(Seen, seen.rows()), starmap(Identify, identifies.rows()), suppressed)


async def _query(clickhouse: ClickHouse, statement: str, keys: Collection[int] = ()) -> Result:
    external: list[Any] = [External(statements.KEYS, [("key", "UInt64")], [(key,) for key in keys])] if keys else []
    return await clickhouse.query(
        statement, settings=_SETTINGS, query_id=uuid.uuid4().hex, timeout=SECONDS, external=external
    )
