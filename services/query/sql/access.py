"""The last wall on a ClickHouse server: one user a workspace, who can read its rows of the event tables and no more.

Pure: the statements as text, for whoever administers the server (deploy/clickhouse/README.md), and which servers may be
trusted with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from contracts.common import TABLES
from services.kit import sql
from services.kit.event_schema import expected
from services.kit.identity import DICTIONARY
from services.query.sql.tables import physical

FIXED: Final[Mapping[tuple[int, int], tuple[int, int]]] = {
    (26, 3): (27, 4),
    (26, 6): (4, 51),
    (26, 7): (6, 49),
    (26, 8): (2, 2),
}
"""Of each release, the first patch in which SETTINGS within a sub-query no longer skip readonly and constraints
(ClickHouse issue 116028). The fixes for `loop`, `mergeTreeIndex` and `mergeTreeProjection` are older."""
_FIRST: Final = (26, 9)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)")
_UNREAD: Final = frozenset(("mid", "version"))


def version_problem(version: str) -> str | None:
    """Return why a server of this version must not run custom SQL, None when it may."""
    found = _VERSION.match(version)
    if found is None:
        return "the version of ClickHouse is not known"
    year, month, minor, patch = map(int, found.groups())
    if (year, month) >= _FIRST or (minor, patch) >= FIXED.get((year, month), (10**9, 0)):
        return None
    least = ", ".join(".".join(map(str, release + patch_)) for release, patch_ in FIXED.items())
    return f"this version of ClickHouse lets sub-queries change settings: it takes 26.9, or one of {least} or later"


def user_of(workspace: UUID) -> str:
    """Return the name of a workspace's user."""
    return f"cdp_sql_{workspace.hex}"


def grant_statements(
    workspace: UUID, password: str, settings: Mapping[str, Any], hourly: Mapping[str, int]
) -> list[str]:
    """Return the statements that make a workspace's user, in order; running them again changes it to what they say.

    `settings`: the limits of each of its statements, which it cannot change; `hourly`: its quota (`queries`,
    `execution_time` in seconds, `read_rows`…).

    Raises:
        ValueError: a name that is none.
    """
    user = user_of(workspace)
    fixed = {"readonly": 1, **settings}
    constraints = ", ".join(f"{_name(name)} = {_value(value)} CONST" for name, value in fixed.items())
    most = ", ".join(f"{_name(name)} = {int(value)}" for name, value in hourly.items())
    statements = [
        f"CREATE SETTINGS PROFILE OR REPLACE {user} SETTINGS {constraints}",
        f"CREATE USER OR REPLACE {user} IDENTIFIED WITH sha256_password BY {sql.string(password)} "
        f"DEFAULT DATABASE NONE SETTINGS PROFILE {sql.string(user)}",
        f"CREATE QUOTA OR REPLACE {user} FOR INTERVAL 1 hour MAX {most} TO {user}",
    ]
    for table in TABLES:
        columns = ", ".join(name for name in expected(table).columns if name not in _UNREAD)
        statements += [
            # The policy first: there is no moment in which the user reads more than its rows.
            f"CREATE ROW POLICY OR REPLACE {user} ON {physical(table)} FOR SELECT "
            f"USING workspace_id = {sql.uuid(workspace)} AS PERMISSIVE TO {user}",
            f"GRANT SELECT({columns}) ON {physical(table)} TO {user}",
        ]
    return [*statements, f"GRANT dictGet ON {DICTIONARY} TO {user}"]


def revoke_statements(workspace: UUID) -> list[str]:
    """Return the statements that take a workspace's user away; the user goes first, the policies after it."""
    user = user_of(workspace)
    return [
        f"DROP USER IF EXISTS {user}",
        *(f"DROP ROW POLICY IF EXISTS {user} ON {physical(table)}" for table in TABLES),
        f"DROP QUOTA IF EXISTS {user}",
        f"DROP SETTINGS PROFILE IF EXISTS {user}",
    ]


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of a setting")
    return name


def _value(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool | int) else sql.string(str(value))
