"""The columns of the event tables as fields name them, and what kind of value each holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from uuid import UUID

from contracts.common import TABLES, TableName
from services.kit.identity import Blocked

Kind: TypeAlias = Literal["text", "time", "object", "table"]


PROFILE: Final = "profile.traits"


@dataclass(frozen=True, slots=True)
class Column:
    """`tables` that have it; the column's name in SQL is that of the field."""

    kind: Kind
    tables: tuple[TableName, ...] = TABLES


COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        "event": Column("text", ("track",)),
        "name": Column("text", ("page",)),
        "group_id": Column("text", ("group",)),
        "user_id": Column("text"),
        "anonymous_id": Column("text"),
        "message_id": Column("text"),
        "timestamp": Column("time"),
        "received_at": Column("time"),
        "table": Column("table"),
        "properties": Column("object", ("track", "page")),
        "traits": Column("object", ("identify", "group")),
        "context": Column("object"),
        PROFILE: Column("object"),  # no column: services/kit/predicates/profile.py
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where an expression stands: the table it reads (several: a union that has all their columns and `table`), the
    request's clock (aware) and IANA time zone; `blocked`: what the workspace counts as no id; `traits`: those of
    profiles that are joined (`services.kit.predicates.profile.join`)."""

    workspace: UUID
    tables: tuple[TableName, ...]
    as_of: datetime
    timezone: str = "UTC"
    blocked: Blocked | None = None
    traits: tuple[str, ...] = ()
