"""Users from a JSON file: name, password, settings fixed for their queries, whether read-only.

A read-only user may be confined to some `tables` (full names), let use some `functions` that its kind may not, and let
send some settings with its queries (`sendable`): those hold for that query, and its text changes none.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path

from .errors import ServerError


@dataclass(frozen=True)
class User:
    name: str
    password: str = field(repr=False)
    readonly: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    sendable: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    tables: frozenset[str] | None = None


class Users:
    """Who may connect."""

    def __init__(self, users: list[User]) -> None:
        self._users = {user.name: user for user in users}

    def authenticate(self, name: str, password: str) -> User:
        """Raises ServerError 516, alike for an unknown name and a wrong password."""
        user = self._users.get(name)
        expected = user.password if user else ""
        same = hmac.compare_digest(expected.encode(), password.encode("utf-8", "surrogateescape"))
        if user is None or not same:
            reason = "Authentication failed: password is incorrect, or there is no user with such name"
            raise ServerError(516, f"{name[:100]}: {reason}")
        return user


def load(path: Path) -> Users:
    """Read the users file; ValueError says what is wrong with it."""
    entries = json.loads(path.read_text())
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list of users")
    return Users([_user(path, entry) for entry in entries])


def _user(path: Path, entry: object) -> User:
    if not isinstance(entry, dict) or not {"name", "password"} <= set(entry):
        raise ValueError(f"{path}: a user needs a name and a password")
    if unknown := set(entry) - {"name", "password", "readonly", "settings", "sendable", "functions", "tables"}:
        raise ValueError(f"{path}: unknown field {sorted(unknown)[0]} of user {entry['name']}")
    settings = {str(name): str(value) for name, value in dict(entry.get("settings", {})).items()}
    readonly = bool(entry.get("readonly", False))
    if not readonly and set(entry) & {"sendable", "functions", "tables"}:
        raise ValueError(f"{path}: sendable, functions and tables are for read-only users, not for {entry['name']}")
    return User(
        str(entry["name"]),
        str(entry["password"]),
        readonly,
        settings,
        sendable=frozenset(map(str, entry.get("sendable", ()))),
        functions=frozenset(map(str, entry.get("functions", ()))),
        tables=frozenset(map(str, entry["tables"])) if "tables" in entry else None,
    )
