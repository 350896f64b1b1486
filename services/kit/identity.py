"""Whose an event is: the one definition, as SQL and in Python.

Every person is an actor, (kind, id), and has a 64-bit key. An event table's `actor_key` is the key of whoever the row
itself names: its user, else its anonymous id, else 0 for nobody. The dictionary `cdp.identity` says where a key's
events belong when that is someone else: the user an anonymous id was first linked to, the winner of a merge, each to
the end of its chain. See deploy/clickhouse/migrations for how both are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from uuid import UUID

from contracts.common import Actor
from services.kit import sql

if TYPE_CHECKING:
    from services.kit.clickhouse import ClickHouse

BLOCKED_IDS: Final = (
    "",
    "null",
    "NULL",
    "Null",
    "nil",
    "none",
    "None",
    "undefined",
    "anonymous",
    "nan",
    "NaN",
    "[object Object]",
    "00000000-0000-0000-0000-000000000000",
)
"""Ids that senders make of an absent value; each counts as ''. The migrations spell out the same list."""

DICTIONARY: Final = "cdp.identity"
NOBODY: Final = 0

_BLOCKED = f"({', '.join(map(sql.string, BLOCKED_IDS))})"
_LETTERS: Final = {"user": b"u", "anonymous": b"a"}
_USER, _ANONYMOUS = 1, 2
"""Kinds in the dictionary."""


class ActorColumns(NamedTuple):
    """SQL of an event's resolved actor: both are texts, '' for nobody."""

    kind: str
    id: str


def actor_key_of(workspace: UUID, kind: Literal["user", "anonymous"], id: str) -> int:
    """Return an actor's key, `NOBODY` for a blocked id.

    It is the first 8 bytes, little-endian, of the SHA-1 of the workspace's 16 bytes, the kind's letter, and the id.
    """
    if id in BLOCKED_IDS:
        return NOBODY
    digest = hashlib.sha1(workspace.bytes + _LETTERS[kind] + id.encode(errors="surrogatepass"), usedforsecurity=False)
    return int.from_bytes(digest.digest()[:8], "little")


def actor_key(workspace: UUID, actor: Actor) -> str:
    """Return an actor's key as a literal."""
    return f"toUInt64({actor_key_of(workspace, actor.kind, actor.id)})"


def resolve(key: str) -> str:
    """Return SQL of the key to which the actor of a key resolves; `key` is SQL of a UInt64."""
    return f"dictGetOrDefault('{DICTIONARY}', 'actor_key', {key}, {key})"


def resolved_key(alias: str = "") -> str:
    """Return SQL of the key of an event's resolved actor; `alias` is that of its table."""
    return resolve(_column("actor_key", alias))


def actor_columns(alias: str = "") -> ActorColumns:
    """Return SQL of the kind and id of an event's resolved actor; `alias` is that of its table."""
    key, user, anonymous = (_column(name, alias) for name in ("actor_key", "user_id", "anonymous_id"))
    is_user = f"{user} NOT IN {_BLOCKED}"
    kind = f"dictGetOrDefault('{DICTIONARY}', 'kind', {key}, toUInt8(if({is_user}, {_USER}, {_ANONYMOUS})))"
    id_ = f"dictGetOrDefault('{DICTIONARY}', 'id', {key}, if({is_user}, {user}, {anonymous}))"
    return ActorColumns(
        kind=f"multiIf({key} = {NOBODY}, '', {kind} = {_USER}, 'user', 'anonymous')",
        id=f"if({key} = {NOBODY}, '', {id_})",
    )


def is_any_of(workspace: UUID, actors: Iterable[Actor], alias: str = "") -> str:
    """Return a condition: the event belongs to one of these, each resolved as events are, so that the anonymous id of a
    known user finds that user's events. It names the rows' own keys, for the tables are ordered by them."""
    keys = sorted({actor_key_of(workspace, actor.kind, actor.id) for actor in actors} - {NOBODY})
    if not keys:
        return "0"
    wanted = f"[{', '.join(f'toUInt64({key})' for key in keys)}]"
    resolved = f"arrayMap(key -> {resolve('key')}, {wanted})"
    return (
        f"{_column('actor_key', alias)} IN (SELECT arrayJoin({resolved}) UNION ALL "
        f"SELECT key FROM dictionary('{DICTIONARY}') WHERE has({resolved}, actor_key))"
    )


async def reload_identity(clickhouse: ClickHouse, *, cluster: str = "") -> None:
    """Make links and merges written so far count at once.

    The server does so by itself within 30 s; whoever writes events calls this, at most once a second, before saying
    that they are there.

    Raises:
        As `ClickHouse.execute`.
    """
    on_cluster = f" ON CLUSTER {sql.identifier(cluster)}" if cluster else ""
    await clickhouse.execute(f"SYSTEM RELOAD DICTIONARY{on_cluster} {DICTIONARY}")


def _column(name: str, alias: str) -> str:
    return f"{sql.identifier(alias)}.{name}" if alias else name
