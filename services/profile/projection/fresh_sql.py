"""SQL that finds new rows of the event tables and whom they concern. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from contracts.common import TABLES, TableName
from services.kit import sql
from services.kit.event_schema import DATABASE
from services.kit.identity import DEVICE_KEY, is_known, resolve
from services.profile.projection import second_sql
from services.profile.projection.blocks import Blocks

_NO_SHARD: Final = "''"
_BOTH: Final = f"{is_known('user_id')} AND {is_known('anonymous_id')}"
_BLOCKED: Final = f"(SELECT actor_key FROM {DATABASE}.identity_blocked FINAL WHERE NOT undone)"


def tables(cluster: str) -> str:
    """Return a statement for the engines of the event tables: (engine)."""
    return f"SELECT engine FROM system.tables WHERE database = '{DATABASE}' AND name IN {_names(cluster)}"


def parts(cluster: str) -> str:
    """Return a statement for the parts of the event tables: (shard, table, partition, first and last block number)."""
    source = f"cluster({sql.string(cluster)}, system.parts)" if cluster else "system.parts"
    return (
        f"SELECT {'toString(_shard_num)' if cluster else _NO_SHARD}, table, partition_id, "
        "toInt64(min_block_number), toInt64(max_block_number) "
        f"FROM {source} WHERE database = '{DATABASE}' AND table IN {_names(cluster)} AND active"
    )


def workspaces() -> str:
    """Return a statement for the workspaces that have events: (workspace_id)."""
    return " UNION DISTINCT ".join(f"SELECT DISTINCT workspace_id FROM {DATABASE}.events_{table}" for table in TABLES)


def links_that_are_missing(blocks: Sequence[Blocks], cluster: str) -> str:
    """Return a statement that puts down the links of new rows that are not there yet.

    The views that fill identity_links write after the events have become visible, and not at all when they fail."""
    rows = _rows(blocks, cluster, "workspace_id, user_id, anonymous_id, actor_key, timestamp", _BOTH)
    return (
        f"INSERT INTO {DATABASE}.identity_links "
        "(workspace_id, anonymous_key, user_key, anonymous_id, user_id, first_seen) "
        f"WITH fresh AS (SELECT workspace_id, {DEVICE_KEY} AS device, actor_key AS person, "
        "any(anonymous_id) AS anonymous, any(user_id) AS user, min(timestamp) AS at "
        f"FROM ({rows}) GROUP BY workspace_id, device, person), "
        "known AS (SELECT workspace_id, anonymous_key AS device, user_key AS person, min(first_seen) AS at "
        f"FROM {DATABASE}.identity_links "
        "WHERE (workspace_id, anonymous_key) IN (SELECT workspace_id, device FROM fresh) GROUP BY 1, 2, 3) "
        "SELECT fresh.workspace_id, fresh.device, fresh.person, fresh.anonymous, fresh.user, fresh.at FROM fresh "
        "LEFT JOIN known USING (workspace_id, device, person) WHERE known.person = 0 OR known.at > fresh.at"
    )


def links_not_loaded(blocks: Sequence[Blocks], cluster: str, *, limit: int) -> str:
    """Return a statement for the links of new rows that the dictionary does not follow, or might not, those of an
    anonymous id that was merged: (key of the anonymous id, key of the user)."""
    rows = _rows(blocks, cluster, "workspace_id, anonymous_id", _BOTH)
    return (
        f"SELECT anonymous_key, argMin(user_key, (first_seen, user_id)) AS first FROM {DATABASE}.identity_links "
        f"WHERE (workspace_id, anonymous_key) IN (SELECT workspace_id, {DEVICE_KEY} FROM ({rows})) "
        f"AND user_key NOT IN {_BLOCKED} AND anonymous_key NOT IN {_BLOCKED} "
        f"GROUP BY anonymous_key HAVING {resolve('anonymous_key')} != {resolve('first')} LIMIT {limit}"
    )


def keys(blocks: Sequence[Blocks], cluster: str, *, after: int, limit: int) -> str:
    """Return a statement for the keys of the ids on new rows, in their order and behind one, and when these rows
    happened: (key, workspace_id, first and last time in milliseconds).

    An anonymous id beside a user is concerned, too: the row may have changed whose it is."""
    rows = _rows(blocks, cluster, "workspace_id, user_id, anonymous_id, actor_key, timestamp", "actor_key != 0")
    return (
        f"SELECT arrayJoin(if({_BOTH}, [actor_key, {DEVICE_KEY}], [actor_key])) AS key, workspace_id, "
        "toUnixTimestamp64Milli(min(timestamp)), toUnixTimestamp64Milli(max(timestamp)) "
        f"FROM ({rows}) WHERE key > {sql.integer(after)} GROUP BY key, workspace_id ORDER BY key LIMIT {limit}"
    )


def rows(blocks: Sequence[Blocks], cluster: str, keys: tuple[int, int], seen: tuple[int, int]) -> list[second_sql.Rows]:
    """Return the new rows whose own keys are in a range (first, last), and the time they were `seen` in, by table."""
    return [
        second_sql.fresh(_table(name), _source(name, cluster), _any(found), keys, seen)
        for name, found in _by_table(blocks).items()
    ]


def blocked() -> str:
    """Return a statement for all blocked ids: (workspace_id, actor_key)."""
    return f"SELECT workspace_id, actor_key FROM {DATABASE}.identity_blocked FINAL WHERE NOT undone"


def linked(keys: Sequence[int]) -> str:
    """Return a statement for the keys of ids that links or merges join with some: (key)."""
    listed = f"({', '.join(f'toUInt64({key})' for key in keys)})"
    edges = (("identity_links", "anonymous_key", "user_key"), ("identity_merges", "loser_key", "winner_key"))
    return " UNION DISTINCT ".join(
        f"SELECT DISTINCT {one} AS key FROM {DATABASE}.{table} WHERE {other} IN {listed}"
        for table, *ends in edges
        for one, other in (ends, reversed(ends))
    )


def _rows(blocks: Sequence[Blocks], cluster: str, columns: str, condition: str) -> str:
    return " UNION ALL ".join(
        f"SELECT {columns} FROM {_source(name, cluster)} WHERE {_any(found)} AND {condition}"
        for name, found in _by_table(blocks).items()
    )


def _by_table(blocks: Sequence[Blocks]) -> dict[str, list[Blocks]]:
    by_table: dict[str, list[Blocks]] = {}
    for each in blocks:
        by_table.setdefault(each.place.table, []).append(each)
    return by_table


def _any(blocks: Sequence[Blocks]) -> str:
    return f"({' OR '.join(map(_in, blocks))})"


def _in(blocks: Blocks) -> str:
    shard = f"_shard_num = {int(blocks.place.shard)} AND " if blocks.place.shard else ""
    return (
        f"({shard}_partition_id = {sql.string(blocks.place.partition)} "
        f"AND _block_number BETWEEN {blocks.first} AND {blocks.last})"
    )


def _table(name: str) -> TableName:
    return TABLES[[f"events_{table}" for table in TABLES].index(name.removesuffix("_local"))]


def _source(table: str, cluster: str) -> str:
    name = f"{DATABASE}.{sql.identifier(table)}"
    return f"cluster({sql.string(cluster)}, {name})" if cluster else name


def _names(cluster: str) -> str:
    suffix = "_local" if cluster else ""
    return f"({', '.join(sql.string(f'events_{table}{suffix}') for table in TABLES)})"
