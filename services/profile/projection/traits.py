"""`cdp.profile_traits`: what queries read of profiles.

Rows are put down in PostgreSQL in the transaction that writes the profiles, and sent to ClickHouse once it is over;
what a process that died has not sent, the next one sends. Rows sent twice, or late, do no harm: the highest version
counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from contracts.base import encode
from services.kit import sql
from services.kit.clickhouse import ClickHouse
from services.kit.postgres import Postgres
from services.profile.ids import unsigned
from services.profile.projection.people import Person
from services.profile.projection.profiles import SECONDS, Removed, Written

TABLE: Final = "cdp.profile_traits"
_COLUMNS: Final = ("workspace_id", "actor_key", "key", "value", "num", "at", "version", "unset")
_PUT_DOWN: Final = "INSERT INTO profile.trait_writes (workspace_id, rows) VALUES ($1, $2) RETURNING id"
_WAITING: Final = "SELECT id, workspace_id, rows FROM profile.trait_writes WHERE id > $1 ORDER BY id LIMIT 1"
_SENT: Final = "DELETE FROM profile.trait_writes WHERE id = $1"
_SUPPRESSED: Final = "SELECT actor_key FROM profile.suppressions WHERE workspace_id = $1"


class Row(NamedTuple):
    """A trait as it is now; `value` None: there is none any more. `at`: milliseconds."""

    key: int
    name: str
    value: str | None
    at: int
    version: int


_rows: Final = msgspec.json.Decoder(list[Row])


def of_written(written: Iterable[Written], version: int) -> Iterator[Row]:
    """Yield the rows of what changed of profiles."""
    for each in written:
        for name in sorted(each.rewritten):
            trait = each.person.traits.get(name)
            value = None if trait is None else trait.value.decode()
            yield Row(each.person.key, name, value, 0 if trait is None else trait.at, version)


def of_removed(removed: Iterable[Removed], version: int) -> Iterator[Row]:
    """Yield the rows that take away the traits of profiles that are no more."""
    for each in removed:
        for name in each.traits:
            yield Row(each.key, name, None, 0, version)


def of_all(persons: Iterable[Person], version: int) -> Iterator[Row]:
    """Yield the rows of all that people have."""
    for person in persons:
        for name, trait in person.traits.items():
            yield Row(person.key, name, trait.value.decode(), trait.at, version)


def unset_before(workspace: UUID, version: int) -> str:
    """Return a statement that takes away what no version from this one on has written."""
    return (
        f"INSERT INTO {TABLE} ({', '.join(_COLUMNS)}) "
        f"SELECT workspace_id, actor_key, key, '', NULL, at, {sql.integer(version)}, 1 FROM {TABLE} FINAL "
        f"WHERE workspace_id = {sql.uuid(workspace)} AND version < {sql.integer(version)}"
    )


async def put_down(connection: asyncpg.Connection, workspace: UUID, rows: Sequence[Row]) -> int:
    """Keep rows until they are sent; return under which number."""
    number: int = await connection.fetchval(_PUT_DOWN, workspace, encode(rows).decode(), timeout=SECONDS)
    return number


async def insert(clickhouse: ClickHouse, workspace: UUID, rows: Sequence[Row]) -> None:
    """Write rows to ClickHouse.

    Raises:
        As `ClickHouse.insert`.
    """
    if rows:
        values = [_values(workspace, row) for row in rows]
        await clickhouse.insert(TABLE, _COLUMNS, list(zip(*values, strict=True)), timeout=SECONDS)


async def sent(postgres: Postgres, number: int) -> None:
    """Forget rows that ClickHouse has."""
    await postgres.execute(_SENT, number)


async def send_left(postgres: Postgres, clickhouse: ClickHouse) -> None:
    """Send what was put down and never sent, but for what has been suppressed since.

    Raises:
        Unavailable, ClickHouseError: the rest stays until the next time.
    """
    number = 0
    while (waiting := await postgres.fetchrow(_WAITING, number)) is not None:
        number = waiting["id"]
        async with postgres.connection() as connection:
            suppressed = {unsigned(row[0]) for row in await connection.fetch(_SUPPRESSED, waiting["workspace_id"])}
        rows = [row for row in _rows.decode(waiting["rows"]) if row.key not in suppressed]
        await insert(clickhouse, waiting["workspace_id"], rows)
        await sent(postgres, number)


def _values(workspace: UUID, row: Row) -> tuple[Any, ...]:
    # `at` as the number that a DateTime64(3) is: asynch takes it as it is.
    if row.value is None:
        return (workspace, row.key, row.name, "", None, row.at, row.version, 1)
    return (workspace, row.key, row.name, row.value, _number(row.value), row.at, row.version, 0)


def _number(value: str) -> float | None:
    return float(value) if value[0] in "-0123456789" else None
