"""Writing people to PostgreSQL: only what differs, and telling what did."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.base import encode
from contracts.durable import ProfileField
from services.profile.ids import profile_id, signed, unsigned
from services.profile.projection.people import Person

SECONDS: Final = 120.0
"""For a statement of thousands of rows."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS: Final[tuple[ProfileField, ...]] = ("user_id", "anonymous_ids", "traits", "first_seen_at", "last_seen_at")

_OLD_OF_KEYS: Final = """
SELECT actor_key, profile_id FROM profile.identities WHERE workspace_id = $1 AND profile_id = ANY (ARRAY(
    SELECT DISTINCT profile_id FROM profile.identities WHERE workspace_id = $1 AND actor_key = ANY ($2::bigint[])))
"""
_OLD_OF_RANGE: Final = """
SELECT profile_id FROM profile.trait_origins WHERE workspace_id = $1 AND actor_key BETWEEN $2 AND $3
"""
_WRITE: Final = """
WITH given AS (
    SELECT id, actor_key, user_id, anonymous_ids::text[] AS anonymous_ids, traits, origins, first_seen_at, last_seen_at
    FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::timestamptz[],
        $9::timestamptz[]) AS g (id, actor_key, user_id, anonymous_ids, traits, origins, first_seen_at, last_seen_at)
), before AS (
    SELECT p.*, o.origins FROM given g JOIN profiles p ON p.id = g.id
    LEFT JOIN profile.trait_origins o ON o.profile_id = p.id
), written AS (
    INSERT INTO profiles AS p (id, workspace_id, user_id, anonymous_ids, traits, first_seen_at, last_seen_at)
    SELECT id, $1, user_id, anonymous_ids, traits, first_seen_at, last_seen_at FROM given
    ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, anonymous_ids = excluded.anonymous_ids,
        traits = excluded.traits, first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at
    WHERE (p.user_id, p.anonymous_ids, p.traits, p.first_seen_at, p.last_seen_at) IS DISTINCT FROM
        (excluded.user_id, excluded.anonymous_ids, excluded.traits, excluded.first_seen_at, excluded.last_seen_at)
), explained AS (
    INSERT INTO profile.trait_origins AS o (profile_id, workspace_id, actor_key, origins)
    SELECT id, $1, actor_key, origins FROM given
    ON CONFLICT (profile_id) DO UPDATE SET origins = excluded.origins WHERE o.origins IS DISTINCT FROM excluded.origins
)
SELECT g.id, b.id IS NULL AS created,
    ARRAY[b.user_id IS DISTINCT FROM g.user_id, b.anonymous_ids IS DISTINCT FROM g.anonymous_ids,
        b.traits IS DISTINCT FROM g.traits, b.first_seen_at IS DISTINCT FROM g.first_seen_at,
        b.last_seen_at IS DISTINCT FROM g.last_seen_at] AS differ,
    CASE WHEN b.id IS NOT NULL AND b.traits IS DISTINCT FROM g.traits THEN ARRAY(
        SELECT key FROM jsonb_each(g.traits) n FULL JOIN jsonb_each(b.traits) f USING (key)
        WHERE n.value IS DISTINCT FROM f.value ORDER BY key) END AS traits,
    CASE WHEN b.id IS NOT NULL AND b.origins IS DISTINCT FROM g.origins THEN ARRAY(
        SELECT key FROM jsonb_each(g.origins) n FULL JOIN jsonb_each(coalesce(b.origins, '{}')) f USING (key)
        WHERE n.value IS DISTINCT FROM f.value) END AS origins
FROM given g LEFT JOIN before b ON b.id = g.id
WHERE b.id IS NULL OR
    (b.user_id, b.anonymous_ids, b.traits, b.first_seen_at, b.last_seen_at, b.origins) IS DISTINCT FROM
    (g.user_id, g.anonymous_ids, g.traits, g.first_seen_at, g.last_seen_at, g.origins)
"""
_WRITE_IDS: Final = """
INSERT INTO profile.identities AS i
    (workspace_id, actor_key, kind, id, own_profile, profile_id, first_seen_at, last_seen_at)
SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::timestamptz[],
    $8::timestamptz[])
ON CONFLICT (workspace_id, actor_key) DO UPDATE SET profile_id = excluded.profile_id,
    first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at
WHERE (i.profile_id, i.first_seen_at, i.last_seen_at) IS DISTINCT FROM
    (excluded.profile_id, excluded.first_seen_at, excluded.last_seen_at)
"""
_REMOVE_IDS: Final = """
DELETE FROM profile.identities i
WHERE i.workspace_id = $1 AND (i.profile_id = ANY ($2::uuid[]) OR i.actor_key = ANY ($3::bigint[]))
    AND NOT EXISTS (SELECT FROM unnest($4::bigint[]) AS kept (key) WHERE kept.key = i.actor_key)
"""
_REMOVE: Final = "DELETE FROM profiles WHERE workspace_id = $1 AND id = ANY ($2::uuid[])"
_REMOVE_ORIGINS: Final = """
DELETE FROM profile.trait_origins WHERE workspace_id = $1 AND profile_id = ANY ($2::uuid[])
RETURNING profile_id, actor_key, ARRAY(SELECT jsonb_object_keys(origins)) AS traits
"""
_PROFILES: Final = ("id", "workspace_id", "user_id", "anonymous_ids", "traits", "first_seen_at", "last_seen_at")
_ORIGINS: Final = ("profile_id", "workspace_id", "actor_key", "origins")
_IDENTITIES: Final = (
    *("workspace_id", "actor_key", "kind", "id", "own_profile", "profile_id"),
    *("first_seen_at", "last_seen_at"),
)


@dataclass(frozen=True, slots=True)
class Written:
    """A profile that was made or changed. `traits`: names of those whose value changed; `rewritten`: those, and those
    that were written again with the same value."""

    person: Person
    created: bool
    fields: tuple[ProfileField, ...]
    traits: tuple[str, ...]
    rewritten: frozenset[str]


@dataclass(frozen=True, slots=True)
class Removed:
    """A profile that is no more. `key`: of the id that named it; `traits`: the names of those it had."""

    profile: UUID
    key: int
    traits: tuple[str, ...]


async def old_of_keys(
    connection: asyncpg.Connection, workspace: UUID, keys: Collection[int]
) -> tuple[frozenset[int], frozenset[UUID]]:
    """Return the profiles that hold one of some keys, and all the keys they hold."""
    rows = await connection.fetch(_OLD_OF_KEYS, workspace, [signed(key) for key in keys], timeout=SECONDS)
    return frozenset(unsigned(row[0]) for row in rows), frozenset(row[1] for row in rows)


async def old_of_range(connection: asyncpg.Connection, workspace: UUID, range: tuple[int, int]) -> frozenset[UUID]:
    """Return the profiles that are named by an id with a key in a range (first, last), of one sign as PostgreSQL holds
    them."""
    rows = await connection.fetch(_OLD_OF_RANGE, workspace, *map(signed, range), timeout=SECONDS)
    return frozenset(row[0] for row in rows)


async def write(connection: asyncpg.Connection, workspace: UUID, persons: Sequence[Person]) -> list[Written]:
    """Make or change the profiles of these people; return those that differed."""
    by_id = {person.profile: person for person in persons}
    rows = [
        (id_, key, user, _array(anonymous), *rest)
        for id_, key, user, anonymous, *rest in (_row(person) for person in persons)
    ]
    differing = await connection.fetch(_WRITE, workspace, *_columns(rows, 8), timeout=SECONDS)
    ids = [id_ for person in persons for id_ in _ids(workspace, person)]
    await connection.execute(_WRITE_IDS, workspace, *_columns(ids, 7), timeout=SECONDS)
    return [_written(by_id[row["id"]], row) for row in differing]


async def write_new(connection: asyncpg.Connection, workspace: UUID, persons: Sequence[Person]) -> None:
    """Make the profiles of people whom nothing is there of, for two thirds of what `write` costs.

    Raises:
        asyncpg.UniqueViolationError: something is there; the transaction is broken.
    """
    rows = [_row(person) for person in persons]
    ids = ((workspace, *id_) for person in persons for id_ in _ids(workspace, person))
    profiles = ((row[0], workspace, row[2], row[3], row[4], row[6], row[7]) for row in rows)
    origins = ((row[0], workspace, row[1], row[5]) for row in rows)
    for schema, table, columns, records in (
        (None, "profiles", _PROFILES, profiles),
        ("profile", "trait_origins", _ORIGINS, origins),
        ("profile", "identities", _IDENTITIES, ids),
    ):
        await connection.copy_records_to_table(
            table, schema_name=schema, columns=columns, records=records, timeout=SECONDS
        )


async def remove(
    connection: asyncpg.Connection,
    workspace: UUID,
    *,
    old: Collection[UUID],
    keys: Collection[int],
    persons: Sequence[Person],
) -> list[Removed]:
    """Remove those of the `old` profiles, and of the ids in `keys` or of these profiles, that `persons` do not have."""
    kept = [signed(key) for person in persons for key in person.ids]
    await connection.execute(_REMOVE_IDS, workspace, list(old), [signed(key) for key in keys], kept, timeout=SECONDS)
    gone = list(set(old) - {person.profile for person in persons})
    if not gone:
        return []
    await connection.execute(_REMOVE, workspace, gone, timeout=SECONDS)
    rows = await connection.fetch(_REMOVE_ORIGINS, workspace, gone, timeout=SECONDS)
    return [Removed(row["profile_id"], unsigned(row["actor_key"]), tuple(row["traits"])) for row in rows]


def moment(milliseconds: int) -> datetime:
    """Return a time."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _row(person: Person) -> tuple[Any, ...]:
    members = [f"{_text(key)}:{trait.value.decode()}" for key, trait in person.traits.items()]
    origins = {key: (_iso(trait.at), trait.message_id) for key, trait in person.traits.items()}
    return (
        person.profile,
        signed(person.key),
        person.user_id,
        person.anonymous_ids,
        f"{{{','.join(members)}}}",
        encode(origins).decode(),
        moment(person.first),
        moment(person.last),
    )


def _ids(workspace: UUID, person: Person) -> Iterator[tuple[Any, ...]]:
    for key, each in person.ids.items():
        own = person.profile if key == person.key else profile_id(workspace, each.kind, each.id)
        yield signed(key), each.kind, each.id, own, person.profile, moment(each.first), moment(each.last)


@lru_cache(maxsize=16)
def _iso(milliseconds: int) -> str:
    """The traits of an event are next to each other, and share its time."""
    return moment(milliseconds).isoformat(timespec="milliseconds")


def _written(person: Person, row: asyncpg.Record) -> Written:
    fields = tuple(name for name, differs in zip(_FIELDS, row["differ"], strict=True) if differs)
    if row["created"]:
        return Written(person, True, fields, tuple(person.traits), frozenset(person.traits))
    traits = tuple(row["traits"] or ())
    return Written(person, False, fields, traits, frozenset(traits).union(row["origins"] or ()))


def _columns(rows: Sequence[tuple[Any, ...]], number: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(number)]


def _text(value: str) -> str:
    return encode(value).decode()


def _array(texts: Sequence[str]) -> str:
    """Return PostgreSQL's literal of an array: unnest would flatten an array of arrays."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
