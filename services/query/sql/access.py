"""Wall 3 on a ClickHouse server, as text: one role that may read the event tables, and a user a workspace who holds it.

The role bears the grants, the row policies and the quota, so that a server has the same few of them for ten workspaces
as for ten thousand, and whoever has the grants has the policies too. Which workspace's rows a user sees follows from
its own name, which no statement can change. The user bears the limits, as settings of which it can change but three.

No statement replaces anything: policies name users and roles by an inner id, so that a user made anew would be one
without them. Each makes what is not there, or alters what is, and may run again at any time, from several processes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from contracts.common import TABLES
from services.kit import sql
from services.kit.identity import DICTIONARY
from services.query.sql.tables import physical

ROLE: Final = "cdp_sql"
_PREFIX: Final = f"{ROLE}_"
OWN_ROWS: Final = f"workspace_id = toUUIDOrNull(substring(currentUser(), {len(_PREFIX) + 1}))"
"""The rows of whose workspace the user's name ends with. Of another name it is NULL, which lets no row through."""
_OWN: Final = "cdp_sql_own"
_READERS: Final = "cdp_sql_readers"
UNREAD: Final = ("mid", "version")
"""Columns that no statement needs."""
HOURLY: Final[Mapping[str, int]] = {"queries": 36_000, "execution_time": 28_800}
"""The quota of each user. A request takes three queries; the seconds are those of eight statements all the time."""
ALWAYS: Final[Mapping[str, Any]] = {
    "readonly": 1,
    "max_concurrent_queries_for_user": 64,
    "cancel_http_readonly_queries_on_client_close": 1,
    "use_query_cache": 0,
}
"""Settings of every user, besides the limits."""
SENT: Final = ("limit", "session_timezone", "max_execution_time")
"""Settings that come with each statement: how many rows, whose clock, how long. None of them shows another row."""


def user_of(workspace: UUID) -> str:
    """Return the name of a workspace's user."""
    return f"{_PREFIX}{workspace.hex}"


def password_of(workspace: UUID, secret: str) -> str:
    """Return the password of a workspace's user: derived, so that every process knows it and none has to keep it."""
    return hmac.new(secret.encode(), user_of(workspace).encode(), hashlib.sha256).hexdigest()


def shared_statements(readers: Collection[str], *, cluster: str = "") -> list[str]:
    """Return the statements that make what the users share, in order.

    `readers`: users who read every row, the services' own. They need a policy only where
    `users_without_row_policies_can_read_rows` is off; where it is on, theirs changes nothing.
    """
    on = _on(cluster)
    names = ", ".join(map(sql.identifier, (ROLE, *readers)))
    tables = _tables(cluster)
    quota = ", ".join(f"{name} = {most}" for name, most in HOURLY.items())
    statements = [f"CREATE ROLE IF NOT EXISTS {ROLE}{on}"]
    for table in tables:
        # Restrictive: whatever else lets rows through, this holds. It alone would let none through where the setting
        # above is off.
        statements += _made("ROW POLICY", f"{_OWN}{on} ON {table}", f"USING {OWN_ROWS} AS RESTRICTIVE TO {ROLE}")
        statements += _made("ROW POLICY", f"{_READERS}{on} ON {table}", f"USING 1 AS PERMISSIVE TO {names}")
    statements += _made("QUOTA", f"{ROLE}{on}", f"KEYED BY user_name FOR INTERVAL 1 hour MAX {quota} TO {ROLE}")
    # Not of columns: a grant of a JSON column covers none of its paths (ClickHouse issue 101423). But some are taken
    # back, and what asks for a whole table, such as functions that show its index, asks for these.
    grants = ", ".join([*(f"SELECT ON {table}" for table in tables), f"dictGet ON {DICTIONARY}"])
    unread = ", ".join(f"SELECT({', '.join(UNREAD)}) ON {table}" for table in tables)
    # Last: there is no moment in which anybody reads more than its rows.
    return [
        *statements,
        f"GRANT{on} {grants} TO {ROLE} WITH REPLACE OPTION",
        f"REVOKE{on} {unread} FROM {ROLE}",
    ]


def user_statements(
    workspace: UUID, password: str, settings: Mapping[str, Any], seconds: int, *, cluster: str = ""
) -> list[str]:
    """Return the statements that make or change a workspace's user, in order.

    `settings`: the limits of each of its statements, which it cannot change; `seconds`: the most that it may give one.

    Raises:
        ValueError: a name of a setting that is none.
    """
    user, on = user_of(workspace), _on(cluster)
    fixed = [f"{_name(name)} = {_value(value)} CONST" for name, value in {**ALWAYS, **settings}.items()]
    sent = ["limit = 0", "session_timezone = 'UTC'", f"max_execution_time = {seconds} MIN 1 MAX {seconds}"]
    limits = ", ".join([*fixed, *(f"{each} CHANGEABLE_IN_READONLY" for each in sent)])
    # Its hash: the password itself is in no statement, and so in no log and no queue.
    hashed = hashlib.sha256(password.encode()).hexdigest()
    definition = f"IDENTIFIED WITH sha256_hash BY '{hashed}' DEFAULT DATABASE NONE GRANTEES NONE SETTINGS {limits}"
    return [*_made("USER", f"{user}{on}", definition), f"GRANT{on} {ROLE} TO {user} WITH REPLACE OPTION"]


def foreign_rows(workspace: UUID) -> str:
    """Return a statement that counts the tables in which a workspace's user, with no other wall, sees rows not its own:
    it must find none."""
    other = f"workspace_id != {sql.uuid(workspace)}"
    seen = " UNION ALL ".join(f"(SELECT 1 AS seen FROM {physical(table)} WHERE {other} LIMIT 1)" for table in TABLES)
    return f"SELECT count() FROM ({seen})"


def revoke_statements(workspace: UUID, *, cluster: str = "") -> list[str]:
    """Return the statements that take a workspace's user away."""
    return [f"DROP USER IF EXISTS {user_of(workspace)}{_on(cluster)}"]


def revoke_shared_statements(*, cluster: str = "") -> list[str]:
    """Return the statements that take away what the users share: the role and its grants first, then what bound it."""
    on = _on(cluster)
    policies = [
        f"DROP ROW POLICY IF EXISTS {name}{on} ON {table}" for table in _tables(cluster) for name in (_OWN, _READERS)
    ]
    return [f"DROP ROLE IF EXISTS {ROLE}{on}", *policies, f"DROP QUOTA IF EXISTS {ROLE}{on}"]


def _tables(cluster: str) -> list[str]:
    """Return the tables of events. On a cluster a statement reads the Distributed ones, and on each shard, as the same
    user, those behind them."""
    tables = [physical(table) for table in TABLES]
    return [*tables, *(f"{table}_local" for table in tables)] if cluster else tables


def _made(kind: str, name: str, definition: str) -> list[str]:
    return [f"CREATE {kind} IF NOT EXISTS {name} {definition}", f"ALTER {kind} {name} {definition}"]


def _on(cluster: str) -> str:
    return f" ON CLUSTER {sql.string(cluster)}" if cluster else ""


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of a setting")
    return name


def _value(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool | int) else sql.string(str(value))
