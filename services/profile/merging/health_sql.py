"""SQL that finds ids with suspiciously many others, from the links and merges that join ids. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from contracts.profile_merges import WarningKind
from services.kit import sql
from services.kit.identity import DICTIONARY, resolve
from services.profile.ids import Kind

LOOKED_AT: Final = "looked_at"
"""An external table of keys (`key UInt64`)."""
_ANONYMOUS: Final = "toUInt8(2)"
_USER: Final = "toUInt8(1)"


class Place(NamedTuple):
    """The last warning of a page."""

    number: int
    kind: str
    key: int


def warnings(
    workspace: UUID,
    *,
    most_ids: int,
    most_users: int,
    kind: WarningKind | None,
    only: bool,
    after: Place | None,
    limit: int,
) -> str:
    """Return the SELECT of (warning, key, kind and id of whom it is about, count, first and last time, kind and id of
    the leading id), the largest counts first. `only`: of ids in the external table `LOOKED_AT` alone."""
    parts: dict[WarningKind, str] = {
        "many_devices": _seen_with(workspace, "user", most_ids, only),
        "many_ids": _in_one_profile(workspace, most_ids, only),
        "many_users": _seen_with(workspace, "anonymous", most_users, only),
    }
    chosen = [part for name, part in parts.items() if kind in (None, name)]
    behind = (
        "1"
        if after is None
        else (
            f"(n < {after.number} OR (n = {after.number} AND (warning, key) > "
            f"({sql.string(after.kind)}, toUInt64({after.key}))))"
        )
    )
    return f"""
SELECT warning, key, kind, id, n, first, last,
    dictGetOrDefault('{DICTIONARY}', 'kind', key, kind) AS lead_kind,
    dictGetOrDefault('{DICTIONARY}', 'id', key, id) AS lead_id
FROM ({" UNION ALL ".join(chosen)})
WHERE {behind}
ORDER BY n DESC, warning, key
LIMIT {limit}"""


def _seen_with(workspace: UUID, one: Kind, most: int, only: bool) -> str:
    name, kind = ("many_users", _ANONYMOUS) if one == "anonymous" else ("many_devices", _USER)
    many = (
        f"SELECT {one}_key FROM cdp.identity_links WHERE workspace_id = {sql.uuid(workspace)} "
        f"AND {_among(f'{one}_key', only)} GROUP BY {one}_key HAVING count() > {most}"
    )
    return (
        f"SELECT '{name}' AS warning, {one}_key AS key, {kind} AS kind, any({one}_id) AS id, count() AS n, "
        f"min(seen) AS first, max(seen) AS last "
        f"FROM ({_links(workspace, f'{one}_key IN ({many})')}) GROUP BY {one}_key HAVING n > {most}"
    )


def _in_one_profile(workspace: UUID, most: int, only: bool) -> str:
    """Ids share a profile by links and merges alone, so those that have either are all there are to count."""
    mine = f"workspace_id = {sql.uuid(workspace)}"
    merged_at = "toDateTime64(fromUnixTimestamp64Micro(toInt64(version), 'UTC'), 3, 'UTC')"
    merges = (
        f"SELECT arrayJoin([loser_key, winner_key]) AS member, {merged_at} AS seen FROM cdp.identity_merges FINAL "
        f"WHERE {mine} AND NOT undone"
    )
    # As many links and merges as there may be ids, but for the leading one: most profiles are ruled out by this.
    many = (
        f"SELECT root FROM (SELECT {resolve('anonymous_key')} AS root FROM cdp.identity_links "
        f"WHERE {mine} UNION ALL SELECT {resolve('member')} FROM ({merges})) GROUP BY root HAVING count() >= {most}"
    )
    known = (
        f"({_among('anonymous_key', only)} OR {_among('user_key', only)})"
        if only
        else f"({resolve('anonymous_key')} IN ({many}) OR {resolve('user_key')} IN ({many}))"
    )
    links = _links(workspace, known)
    joined = f"SELECT arrayJoin([anonymous_key, user_key]) AS member, seen FROM ({links}) UNION ALL {merges}"
    return (
        f"SELECT 'many_ids' AS warning, {resolve('member')} AS key, "
        f"anyIf(dictGetOrDefault('{DICTIONARY}', 'kind', member, 0), dictHas('{DICTIONARY}', member)) AS kind, "
        f"anyIf(dictGetOrDefault('{DICTIONARY}', 'id', member, ''), dictHas('{DICTIONARY}', member)) AS id, "
        f"count() AS n, min(since) AS first, max(since) AS last "
        f"FROM (SELECT member, min(seen) AS since FROM ({joined}) WHERE {_among('member', only)} GROUP BY member) "
        f"GROUP BY key HAVING n > {most}"
    )


def _links(workspace: UUID, condition: str) -> str:
    """Return the SELECT of links between ids that are not blocked, each once: rows may have still to be merged."""
    return (
        "SELECT anonymous_key, user_key, any(anonymous_id) AS anonymous_id, any(user_id) AS user_id, "
        f"min(first_seen) AS seen FROM cdp.identity_links WHERE workspace_id = {sql.uuid(workspace)} AND {condition} "
        f"AND anonymous_key NOT IN {_blocked(workspace)} AND user_key NOT IN {_blocked(workspace)} "
        "GROUP BY anonymous_key, user_key"
    )


def _among(key: str, only: bool) -> str:
    return f"{key} IN (SELECT key FROM {LOOKED_AT})" if only else "1"


def _blocked(workspace: UUID) -> str:
    return (
        f"(SELECT actor_key FROM cdp.identity_blocked FINAL WHERE workspace_id = {sql.uuid(workspace)} AND NOT undone)"
    )
