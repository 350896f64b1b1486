"""Whose an event is: the one definition, as SQL and in Python.

Every person is an actor, (kind, id), and has a 64-bit key. An event table's `actor_key` is the key of whoever the row
itself names: its user, else its anonymous id, else 0 for nobody. The dictionary `cdp.identity` says where a key's
events belong when that is someone else: the user an anonymous id was first linked to, the winner of a merge, each to
the end of its chain. See deploy/clickhouse/migrations for how both are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from uuid import UUID

from contracts.common import Actor
from services.kit import sql
from services.kit.clickhouse.errors import QueryStopped

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

_RELOADS: Final = 3
DEVICE_KEY: Final = "reinterpretAsUInt64(substring(SHA1(concat(UUIDToNum(workspace_id), 'a', anonymous_id)), 1, 8))"
"""SQL of the key of a row's anonymous id, whoever the row belongs to."""

_LETTERS: Final = {"user": b"u", "anonymous": b"a"}
_USER, _ANONYMOUS = 1, 2
"""Kinds in the dictionary."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Ids that a workspace blocks beside `BLOCKED_IDS`. Rows keep the key they were written with, so it is corrected
    when they are read; the dictionary leaves out links with these ids (`cdp.identity_blocked`)."""

    workspace: UUID
    ids: tuple[str, ...]

    @classmethod
    def of(cls, workspace: UUID, ids: tuple[str, ...]) -> Blocked | None:
        """Return what a workspace blocks, None where it blocks nothing of its own."""
        return cls(workspace, ids) if ids else None

    @property
    def keys(self) -> list[int]:
        """The keys under which rows of these ids are stored."""
        kinds: tuple[Literal["user", "anonymous"], ...] = ("user", "anonymous")
        return sorted({actor_key_of(self.workspace, kind, id) for kind in kinds for id in self.ids} - {NOBODY})


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


def own_key(blocked: Blocked | None = None) -> str:
    """Return SQL of the key of whoever a row itself names, `NOBODY` for nobody."""
    if blocked is None or not blocked.keys:
        return "actor_key"
    keys = ", ".join(f"toUInt64({key})" for key in blocked.keys)
    known = f"anonymous_id NOT IN {_listed(blocked)}"
    return f"if(actor_key IN ({keys}), if({known}, {DEVICE_KEY}, {NOBODY}), actor_key)"


def resolve(key: str) -> str:
    """Return SQL of the key to which the actor of a key resolves; `key` is SQL of a UInt64."""
    return f"dictGetOrDefault('{DICTIONARY}', 'actor_key', {key}, {key})"


def resolved_key(blocked: Blocked | None = None) -> str:
    """Return SQL of the key of an event's resolved actor."""
    return resolve(own_key(blocked))


def is_known(id_: str, blocked: Blocked | None = None) -> str:
    """Return a condition: an id (SQL of a String) is one, not what senders make of an absent value."""
    return f"{id_} NOT IN {_listed(blocked)}"


def actor_columns(blocked: Blocked | None = None) -> ActorColumns:
    """Return SQL of the kind and id of an event's resolved actor."""
    key, is_user = own_key(blocked), is_known("user_id", blocked)
    kind = f"dictGetOrDefault('{DICTIONARY}', 'kind', {key}, toUInt8(if({is_user}, {_USER}, {_ANONYMOUS})))"
    id_ = f"dictGetOrDefault('{DICTIONARY}', 'id', {key}, if({is_user}, user_id, anonymous_id))"
    return ActorColumns(
        kind=f"multiIf({key} = {NOBODY}, '', {kind} = {_USER}, 'user', 'anonymous')",
        id=f"if({key} = {NOBODY}, '', {id_})",
    )


def is_any_of(workspace: UUID, actors: Iterable[Actor], blocked: Blocked | None = None) -> str:
    """Return a condition: the event belongs to one of these, each resolved as events are, so that the anonymous id of a
    known user finds that user's events. It names the rows' own keys, for the tables are ordered by them."""
    ids = () if blocked is None else blocked.ids
    keys = sorted({actor_key_of(workspace, each.kind, each.id) for each in actors if each.id not in ids} - {NOBODY})
    if not keys:
        return "0"
    wanted = f"[{', '.join(f'toUInt64({key})' for key in keys)}]"
    resolved = f"arrayMap(key -> {resolve('key')}, {wanted})"
    return (
        f"{own_key(blocked)} IN (SELECT arrayJoin({resolved}) UNION ALL "
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
    for left in reversed(range(_RELOADS)):
        try:
            await clickhouse.execute(f"SYSTEM RELOAD DICTIONARY{on_cluster} {DICTIONARY}")
            return
        except QueryStopped:  # those who wait for one load share its end: another's was cancelled
            if not left:
                raise


def _listed(blocked: Blocked | None) -> str:
    ids = BLOCKED_IDS if blocked is None else (*BLOCKED_IDS, *blocked.ids)
    return f"({', '.join(map(sql.string, ids))})"
