"""SQL that gathers people from the event tables. Pure.

Whose a row is, is said by keys alone, as the dictionary says it: `services/kit/identity.py` has the definition.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.common import TABLES
from services.kit import sql
from services.kit.identity import DEVICE_KEY, DICTIONARY, is_known, resolve

KEYS: Final = "wanted"
"""The external table of keys (`key UInt64`) that the statements about some people read."""
_KNOWN_USER: Final = is_known("user_id")
_KNOWN_ANONYMOUS: Final = is_known("anonymous_id")


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows to look at: those of the keys in the external table, or of whoever resolves to a key in a range.

    `blocked`: keys that the workspace blocks."""

    workspace: UUID
    blocked: Collection[int] = ()
    range: tuple[int, int] | None = None
    """First and last."""

    @property
    def own(self) -> str:
        """SQL of the key of whoever a row itself names, 0 for nobody."""
        if not self.blocked:
            return "actor_key"
        blocked = _listed(self.blocked)
        known = f"{_KNOWN_ANONYMOUS} AND {DEVICE_KEY} NOT IN {blocked}"
        return f"if(actor_key IN {blocked}, if({known}, {DEVICE_KEY}, 0), actor_key)"

    @property
    def beside(self) -> str:
        """SQL of the key of the anonymous id that a user's row carries, too; else 0."""
        known = f"own = actor_key AND {_KNOWN_USER} AND {_KNOWN_ANONYMOUS}"
        if self.blocked:
            known += f" AND {DEVICE_KEY} NOT IN {_listed(self.blocked)}"
        return f"if({known}, {DEVICE_KEY}, 0)"

    @property
    def clauses(self) -> str:
        """SQL of the clauses that choose rows: PREWHERE, by keys, and WHERE."""
        own = f"{self.own} != 0"
        if self.range is None:
            wanted = f"(SELECT key FROM {KEYS})"
            if not self.blocked:
                return self._clauses(f"actor_key IN {wanted}", own)
            # Rows of a blocked user belong to their anonymous ids.
            keys = f"(actor_key IN {wanted} OR actor_key IN {_listed(self.blocked)})"
            return self._clauses(keys, f"{own} AND {self.own} IN {wanted}")
        first, last = map(sql.integer, self.range)
        inside = f"BETWEEN {first} AND {last}"
        # The dictionary holds who leads elsewhere: to look for them once costs a third of asking it for every row.
        led = f"SELECT key FROM dictionary('{DICTIONARY}') WHERE actor_key {inside}"
        keys = "true" if self.blocked else f"(actor_key {inside} OR actor_key IN ({led}))"
        return self._clauses(keys, f"{own} AND {resolve(self.own)} {inside}")

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
    each = " UNION ALL ".join(
        f"SELECT {scope.own} AS own, own = actor_key AND {_KNOWN_USER} AS is_user, {scope.beside} AS beside, "
        "any(if(is_user, user_id, anonymous_id)) AS id, any(anonymous_id) AS beside_id, "
        "min(timestamp) AS first, max(timestamp) AS last "
        f"FROM cdp.events_{table} {scope.clauses} GROUP BY own, is_user, beside"
        for table in TABLES
    )
    return (
        "SELECT own, if(any(is_user), 1, 2) AS kind, any(id) AS own_id, beside, any(beside_id) AS device, "
        "toUnixTimestamp64Milli(min(first)), toUnixTimestamp64Milli(max(last)), "
        f"{resolve('own')} AS root, dictGetOrDefault('{DICTIONARY}', 'kind', own, toUInt8(kind)) AS root_kind, "
        f"dictGetOrDefault('{DICTIONARY}', 'id', own, own_id) AS root_id, {resolve('beside')} AS beside_root "
        f"FROM ({each}) GROUP BY own, beside"
    )


def identifies(scope: Scope) -> str:
    """Return a statement for what identify events say of traits, of each person in the order in which they were
    written: columns as in `people.Identify`. Of a message sent twice the row received first."""
    return (
        f"SELECT {scope.own} AS own, {resolve('own')} AS root, toUnixTimestamp64Milli(timestamp) AS at, message_id, "
        "toJSONString(traits) AS written, traits_null "
        f"FROM cdp.events_identify FINAL {scope.clauses} ORDER BY root, timestamp, message_id"
    )


def size(workspace: UUID) -> str:
    """Return a statement for about how many people a workspace has: one row, one number."""
    rows = " UNION ALL ".join(
        f"SELECT actor_key FROM cdp.events_{table} WHERE workspace_id = {sql.uuid(workspace)}" for table in TABLES
    )
    return f"SELECT uniq({resolve('actor_key')}) FROM ({rows})"


def blocked(workspace: UUID) -> str:
    """Return a statement for the keys of the ids that a workspace blocks."""
    mine = f"workspace_id = {sql.uuid(workspace)}"
    return f"SELECT actor_key FROM cdp.identity_blocked FINAL WHERE {mine} AND NOT undone"


def _listed(keys: Collection[int]) -> str:
    return f"({', '.join(f'toUInt64({key})' for key in sorted(keys))})"
