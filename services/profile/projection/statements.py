"""SQL that gathers people. Pure.

Who was seen when, and what identify events say of some people, is read from `cdp.events_by_actor`, in which a person's
rows lie together. Whose a row is, is said by keys alone, as the dictionary says it:
`services/kit/identity.py` has the definition.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from uuid import UUID

from services.kit import sql
from services.kit.identity import DEVICE_KEY, DICTIONARY, is_known, resolve

KEYS: Final = "wanted"
"""The external table of keys (`key UInt64`) that the statements about some people read."""
EVENTS: Final = "cdp.events_by_actor"
_IS_IDENTIFY: Final = "source = 'identify'"
IDENTIFIES: Final = "cdp.events_identify"
# Of the anonymous id on a row of either, 0 without one: actor_key, where the row names no user.
_DEVICE: Final = MappingProxyType(
    {
        EVENTS: "device_key",
        IDENTIFIES: f"if({is_known('anonymous_id')}, {DEVICE_KEY}, 0)",
    }
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows to look at: those of the keys in the external table, or of whoever resolves to a key in a range.

    `blocked`: keys that the workspace blocks."""

    workspace: UUID
    blocked: Collection[int] = ()
    range: tuple[int, int] | None = None
    """First and last."""

    def own(self, table: str) -> str:
        """Return SQL of the key of whoever a row of a table itself names, 0 for nobody."""
        if not self.blocked:
            return "actor_key"
        blocked, device = _listed(self.blocked), _DEVICE[table]
        return f"if(actor_key IN {blocked}, if({device} IN {blocked}, 0, {device}), actor_key)"

    @property
    def beside(self) -> str:
        """SQL of the key of the anonymous id that a user's row of `EVENTS` carries, too; else 0."""
        known = "own = actor_key AND device_key != actor_key"
        if self.blocked:
            known += f" AND device_key NOT IN {_listed(self.blocked)}"
        return f"if({known}, device_key, 0)"

    def clauses(self, table: str, first: str = "true") -> str:
        """Return SQL of the clauses that choose rows of a table: PREWHERE, by keys and a condition on what else it is
        ordered by, and WHERE."""
        own = self.own(table)
        somebody = f"{own} != 0"
        if self.range is None:
            wanted = f"(SELECT key FROM {KEYS})"
            if not self.blocked:
                return self._clauses(f"actor_key IN {wanted} AND {first}", somebody)
            # Rows of a blocked user belong to their anonymous ids.
            keys = f"(actor_key IN {wanted} OR actor_key IN {_listed(self.blocked)})"
            return self._clauses(f"{keys} AND {first}", f"{somebody} AND {own} IN {wanted}")
        inside = "BETWEEN {} AND {}".format(*map(sql.integer, self.range))
        # The dictionary holds who leads elsewhere: to look for them once costs a third of asking it for every row.
        led = f"SELECT key FROM dictionary('{DICTIONARY}') WHERE actor_key {inside}"
        keys = "true" if self.blocked else f"(actor_key {inside} OR actor_key IN ({led}))"
        return self._clauses(f"{keys} AND {first}", f"{somebody} AND {resolve(own)} {inside}")

    def _clauses(self, keys: str, rest: str) -> str:
        return f"PREWHERE workspace_id = {sql.uuid(self.workspace)} AND {keys} WHERE {rest}"


def related() -> str:
    """Return a statement for every key that leads to where one of the external table does, with that: (key, root)."""
    roots = f"SELECT {resolve('key')} FROM {KEYS}"
    return (
        f"SELECT key, {resolve('key')} AS root FROM {KEYS} "
        f"UNION DISTINCT SELECT {resolve('key')} AS root, root FROM {KEYS} "
        f"UNION DISTINCT SELECT key, actor_key FROM dictionary('{DICTIONARY}') WHERE actor_key IN ({roots})"
    )


def targets() -> str:
    """Return a statement for where keys of the external table lead, if they do: (key, kind, id); kind 1 is a user."""
    attributes = ", ".join(f"dictGet('{DICTIONARY}', '{name}', key)" for name in ("kind", "id"))
    return f"SELECT key, {attributes} FROM {KEYS} WHERE dictHas('{DICTIONARY}', key)"


def seen(scope: Scope) -> str:
    """Return a statement for the ids on the rows, by the id a row is of and the anonymous id beside it: when they were
    there first and last, and where both lead. Columns as in `people.Seen`."""
    each = (
        f"SELECT {scope.own(EVENTS)} AS own, own = actor_key AND device_key != actor_key AS is_user, "
        f"{scope.beside} AS beside, any(if(is_user, user_id, anonymous_id)) AS id, any(anonymous_id) AS beside_id, "
        f"min(timestamp) AS first, max(timestamp) AS last FROM {EVENTS} {scope.clauses(EVENTS)} "
        "GROUP BY own, is_user, beside"
    )
    return (
        "SELECT own, if(is_user, 1, 2) AS kind, id AS own_id, beside, beside_id AS device, "
        "toUnixTimestamp64Milli(first), toUnixTimestamp64Milli(last), "
        f"{resolve('own')} AS root, dictGetOrDefault('{DICTIONARY}', 'kind', own, toUInt8(kind)) AS root_kind, "
        f"dictGetOrDefault('{DICTIONARY}', 'id', own, own_id) AS root_id, {resolve('beside')} AS beside_root "
        f"FROM ({each})"
    )


def identifies(scope: Scope) -> str:
    """Return a statement for what identify events say of traits, of each person in the order in which they were
    written: columns as in `people.Identify`. Of a message sent twice the row received first.

    Those of a range come from their own table, which for some keys would unpack the traits of 8,192 neighbours each."""
    table = EVENTS if scope.range is None else IDENTIFIES
    own, order = scope.own(table), "ORDER BY root, timestamp, message_id"
    columns = f"{own} AS own, {resolve('own')} AS root, toUnixTimestamp64Milli(timestamp) AS at, message_id"
    own_table = f"FROM {IDENTIFIES} FINAL {scope.clauses(IDENTIFIES)}"
    if table == IDENTIFIES:
        return f"SELECT {columns}, toJSONString(traits) AS written, traits_null {own_table} {order}"
    rows = f"SELECT {columns}, actor_key, timestamp, object FROM {EVENTS} FINAL {scope.clauses(EVENTS, _IS_IDENTIFY)}"
    # What was sent as null is in their own table only, and rare.
    nulls = f"SELECT actor_key, timestamp, message_id, traits_null {own_table} AND notEmpty(traits_null)"
    return (
        f"SELECT own, root, at, message_id, object AS written, traits_null FROM ({rows}) AS said "
        f"LEFT JOIN ({nulls}) AS unset USING (actor_key, timestamp, message_id) {order}"
    )


def size(workspace: UUID) -> str:
    """Return a statement for about how many people a workspace has: one row, one number."""
    return f"SELECT uniq({resolve('actor_key')}) FROM {EVENTS} WHERE workspace_id = {sql.uuid(workspace)}"


def blocked(workspace: UUID) -> str:
    """Return a statement for the keys of the ids that a workspace blocks."""
    mine = f"workspace_id = {sql.uuid(workspace)}"
    return f"SELECT actor_key FROM cdp.identity_blocked FINAL WHERE {mine} AND NOT undone"


def _listed(keys: Collection[int]) -> str:
    return f"({', '.join(f'toUInt64({key})' for key in sorted(keys))})"
