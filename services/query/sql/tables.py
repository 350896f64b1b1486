"""The tables that custom SQL sees, each as the sub-select of one workspace that stands in its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.common import TABLES, TableName
from services.kit import identity, sql
from services.kit.event_schema import DATABASE, expected
from services.kit.identity import Blocked

ACTOR: Final = "Tuple(kind String, id String)"
_HIDDEN: Final = frozenset(("workspace_id", "actor_key", "mid", "version"))
JSON_COLUMNS: Final = ("properties", "traits", "context")
_EMPTY_JSON: Final = "CAST('{}' AS JSON(max_dynamic_paths=64))"


@dataclass(frozen=True, slots=True)
class Visible:
    """A table of custom SQL: its columns with their types, and the tables of the engine it is made of."""

    columns: Mapping[str, str]
    sources: tuple[TableName, ...]


def _columns(table: TableName) -> dict[str, str]:
    return {name: each.type for name, each in expected(table).columns.items() if name not in _HIDDEN} | {"actor": ACTOR}


def _union() -> dict[str, str]:
    found = {"table": "String"} | {name: type_ for each in TABLES for name, type_ in _columns(each).items()}
    return {name: type_ for name, type_ in found.items() if name != "traits_null"}


VISIBLE: Final[Mapping[str, Visible]] = {
    **{f"events_{table}": Visible(_columns(table), (table,)) for table in TABLES},
    "events": Visible(_union(), TABLES),
}
NOT_YET: Final = frozenset(("profiles", "traits", "segment_members"))
"""Names kept for tables of services that do not exist here yet."""
DICTIONARY_CALLS: Final = 2
"""Calls of `dictGetOrDefault` that each source of a sub-select makes, for `actor`."""


def physical(table: TableName) -> str:
    """Return a table's full name in the engine."""
    return f"{DATABASE}.events_{table}"


def sub_select(name: str, workspace: UUID, blocked: Blocked | None, paths: Collection[str] = ()) -> str:
    """Return SQL of a visible table's rows in one workspace, each event once.

    `paths`: names of JSON subcolumns (``properties.price``) to give as columns of their own under that very name, which
    is how the engine finds them without reading the whole object.
    """
    table = VISIBLE[name]
    selects = [_select(source, table.columns, workspace, blocked, paths) for source in table.sources]
    return " UNION ALL ".join(selects)


def _select(
    source: TableName, columns: Mapping[str, str], workspace: UUID, blocked: Blocked | None, paths: Collection[str]
) -> str:
    own = _columns(source)
    actor = identity.actor_columns(blocked)
    output = []
    for name, type_ in columns.items():
        if name == "actor":
            output.append(f"CAST(tuple({actor.kind}, {actor.id}) AS {ACTOR}) AS actor")
        elif name == "table":
            output.append(f"{sql.string(source)} AS `table`")
        elif name in own:
            output.append(name)
        else:
            empty = _EMPTY_JSON if name in JSON_COLUMNS else f"CAST('' AS {type_})"
            output.append(f"{empty} AS {name}")
    for path in paths:
        column = path.partition(".")[0]
        if column in own:
            output.append(f"{path} AS {sql.identifier(path)}")
        elif column in columns:
            empty = f"getSubcolumn({_EMPTY_JSON}, {sql.string(path.partition('.')[2])})"
            output.append(f"{empty} AS {sql.identifier(path)}")
    keys = f"workspace_id = {sql.uuid(workspace)}"
    return f"SELECT {', '.join(output)} FROM {physical(source)} FINAL PREWHERE {keys}"
