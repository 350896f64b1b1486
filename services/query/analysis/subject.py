"""Who is counted: the SQL of an event's key for each kind of `analyse_by`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from contracts.common import TableName
from contracts.errors import InvalidRequest
from services.kit import identity
from services.kit.predicates import Scope, check_field, compile_field

POINTER: Final = "/analyse_by"
_GROUP: Final[dict[TableName, str]] = {"group": "group_id"}
_CONTEXT_GROUP: Final = "context.groupId"
SESSION_TABLES: Final[tuple[TableName, ...]] = ("track", "page")
"""The tables whose events belong to sessions, where sessions are counted."""


@dataclass(frozen=True, slots=True)
class Subject:
    """`keys`: `actor` when keys are UInt64 keys of actors (services/kit/identity.py), `text` when they are texts.

    A session has no key that its rows could name: where `by` is `session`, Source finds it (docs/sessions.md).

    `stable`: all rows of one event have the same key, so duplicates need not be removed first to tell it.
    """

    by: str
    keys: Literal["actor", "text"]
    stable: bool

    @property
    def type(self) -> Literal["UInt64", "String"]:
        """The ClickHouse type of a key."""
        return "UInt64" if self.keys == "actor" else "String"

    def key(self, scope: Scope) -> str:
        """Return SQL of the key of an event of the scope's one table; for rows that are `known`."""
        if self.by == "actor":
            return identity.resolved_key(scope.blocked)
        if self.by == "user_id":
            return "actor_key"
        if self.by == "anonymous_id":
            return "anonymous_id"
        return f"ifNull({compile_field(self._field(scope), scope, pointer=POINTER).text}, '')"

    def own_key(self, scope: Scope) -> str:
        """Return SQL of the key before `resolve`: that of the actor the row itself names."""
        return identity.own_key(scope.blocked) if self.by == "actor" else self.key(scope)

    def resolve(self, key: str) -> str:
        """Return SQL of the key to which an own key (SQL) leads; keys that are resolved stay as they are."""
        return identity.resolve(key) if self.by == "actor" else key

    def known(self, scope: Scope) -> str:
        """Return a condition: the event has a key."""
        if self.by == "actor":
            return f"{identity.own_key(scope.blocked)} != {identity.NOBODY}"
        if self.by in ("user_id", "anonymous_id"):
            return identity.is_known(self.by, scope.blocked)
        if self.by == "group_id":
            return identity.is_known(self.key(scope), scope.blocked)
        return f"{self.key(scope)} != ''"

    def _field(self, scope: Scope) -> str:
        if self.by != "group_id":
            return self.by
        return _GROUP.get(scope.tables[0], _CONTEXT_GROUP)


ACTOR: Final = Subject("actor", "actor", stable=True)


def subject_of(analyse_by: str, tables: tuple[TableName, ...]) -> Subject:
    """Return whom an analysis of these tables counts.

    Raises:
        InvalidRequest: no such field, one of a table that is not read, or one with several values an event.
    """
    if analyse_by in ("actor", "user_id"):
        return Subject(analyse_by, "actor", stable=True)
    if analyse_by in ("anonymous_id", "group_id"):
        return Subject(analyse_by, "text", stable=analyse_by == "anonymous_id")
    if analyse_by == "session":
        if not set(tables) & set(SESSION_TABLES):
            raise InvalidRequest.at(POINTER, "only track and page events belong to sessions")
        return Subject(analyse_by, "text", stable=True)
    reference = check_field(analyse_by, tables, POINTER)
    if reference.path is not None and reference.path.steps:
        raise InvalidRequest.at(POINTER, "must be a field with one value an event, not one that goes through an array")
    return Subject(analyse_by, "text", stable=False)
