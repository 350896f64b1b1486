"""Whose events are read: a profile, and the keys that rows of its person may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.profiles import Profile
from services.kit import identity
from services.kit.clickhouse import External
from services.kit.identity import NOBODY, Blocked, actor_key_of
from services.kit.service import RequestContext
from services.profile.ids import Kind, profile_id, unsigned
from services.profile.profile import one
from services.profile.resources import Resources

_KEYS: Final = "SELECT actor_key, own_profile FROM profile.identities WHERE workspace_id = $1 AND profile_id = $2"
_TABLE: Final = "person"
_DEVICE: Final = "device_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`key`: of the id that names the person; `keys`: of all ids that PostgreSQL knows to be theirs, that one too."""

    profile: UUID
    key: int
    keys: frozenset[int]

    @property
    def external(self) -> External:
        """The keys as a table for a statement with `condition`."""
        return External(_TABLE, [("key", "UInt64")], [(key,) for key in sorted(self.keys)])

    def condition(self, blocked: Blocked | None = None) -> str:
        """Return a condition on `actor_key` and `device_key`: the row belongs to the person.

        Of the keys those count that resolve, now, to where the person's own does: an id that was linked or merged
        elsewhere since is left out at once. A row of an id that the workspace blocks belongs to its anonymous id.
        """
        theirs = (
            f"(SELECT key FROM {_TABLE} WHERE {identity.resolve('key')} = "
            f"{identity.resolve(f'toUInt64({self.key})')}{_not_in(blocked)})"
        )
        own = f"actor_key IN {theirs}"
        if blocked is None or not blocked.keys:
            return own
        return f"({own} OR (actor_key IN ({_listed(blocked)}) AND {_DEVICE} IN {theirs}))"


async def find(resources: Resources, reference: str, context: RequestContext) -> Person:
    """Return the person that a reference means.

    Raises:
        InvalidRequest, NotFound, Conflict: as `services.profile.profile.get`.
    """
    profile = await one(resources, context.workspace, reference)
    # The row's own ids, too: whoever else keeps the profiles need not keep our table of ids.
    keys = {profile_id(context.workspace, *id): actor_key_of(context.workspace, *id) for id in _ids(profile)}
    async with resources.postgres.connection() as connection:
        rows = await connection.fetch(_KEYS, context.workspace, profile.id)
    keys |= {row["own_profile"]: unsigned(row["actor_key"]) for row in rows}
    own = keys.get(profile.id, next(iter(keys.values()), NOBODY))
    return Person(profile=profile.id, key=own, keys=frozenset(keys.values()) - {NOBODY})


def _ids(profile: Profile) -> list[tuple[Kind, str]]:
    users: list[tuple[Kind, str]] = [] if profile.user_id is None else [("user", profile.user_id)]
    return users + [("anonymous", id) for id in profile.anonymous_ids]


def _listed(blocked: Blocked) -> str:
    return ", ".join(f"toUInt64({key})" for key in blocked.keys)


def _not_in(blocked: Blocked | None) -> str:
    return f" AND key NOT IN ({_listed(blocked)})" if blocked is not None and blocked.keys else ""
