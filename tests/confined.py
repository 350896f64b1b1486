"""The users of custom SQL in an engine that knows users from a file alone, made of the very statements for a server.

The engine as a library is always the user `default`. So this one becomes a workspace's user, by what the statements
give it; in the row policies its name stands for the workspace's. Not carried over: that a policy is restrictive and a
role's, and that three settings may be changed, for which the library has no words.
"""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID
from xml.sax.saxutils import escape

from contracts.common import TABLES
from deploy.clickhouse.render import render_text
from services.kit import sql
from services.kit.clickhouse.wire import with_common
from services.kit.settings import Settings
from services.kit.statements import limits
from services.query.sql import access
from services.query.sql.engine import settings_of
from services.query.sql.slots import share
from services.query.sql.users import TENANT_FILTER

MIGRATIONS = Path(__file__).parents[1] / "deploy" / "clickhouse" / "migrations"
_SETTING = re.compile(r"(\w+) = ('[^']*'|\d+)( MIN \d+ MAX \d+)? (CONST|CHANGEABLE_IN_READONLY)")
_SECONDS, _ROWS = 1, 1_000


def statements_of(workspace: UUID) -> list[str]:
    """Return what a server would be told for a workspace with the limits of a system that sets none."""
    settings = settings_of(limits(Settings()) | share(Settings()), workspace, "UTC", _SECONDS, 0)
    fixed = {
        name: value
        for name, value in with_common(settings).items()
        if name not in access.SENT and name != TENANT_FILTER
    }
    made = access.user_statements(workspace, access.password_of(workspace, "s" * 32), fixed, _SECONDS)
    return [*access.shared_statements(("default",)), *made]


def users_file(workspace: UUID) -> str:
    """Return the configuration of an engine whose one user is the workspace's."""
    statements = statements_of(workspace)
    grants = [each for each in statements if each.startswith(("GRANT SELECT", "REVOKE SELECT"))]
    [user] = [each for each in statements if each.startswith("ALTER USER")]
    filters = {
        table: condition
        for each in statements
        if (found := re.match(r"ALTER ROW POLICY cdp_sql_own ON (\S+) USING (.+) AS RESTRICTIVE TO cdp_sql$", each))
        for table, condition in [found.groups()]
    }
    assert sorted(filters) == sorted(f"cdp.events_{table}" for table in TABLES)
    settings = [(each, str(_ROWS) if each == "limit" else value) for each, value, _, _ in _SETTING.findall(user)]
    assert len(settings) == user.partition(" SETTINGS ")[2].count(", ") + 1
    name = f"if(currentUser() = 'default', {sql.string(access.user_of(workspace))}, '')"
    return f"""<clickhouse>
    <profiles><cdp_sql>
        {"".join(f"<{each}>{escape(value.strip(chr(39)))}</{each}>" for each, value in settings)}
        <constraints>{"".join(f"<{each}><const/></{each}>" for each, _ in settings)}</constraints>
    </cdp_sql><default/></profiles>
    <quotas><default/></quotas>
    <roles><cdp_sql><grants>{
        "".join(f"<query>{escape(re.split(' TO | FROM ', each)[0])}</query>" for each in grants)
    }</grants></cdp_sql></roles>
    <users><default>
        <password></password><networks><ip>::/0</ip></networks><profile>cdp_sql</profile><quota>default</quota>
        <grants><query>GRANT cdp_sql</query></grants>
        <databases><cdp>{
        "".join(
            f"<{table.partition('.')[2]}><filter>{escape(condition.replace('currentUser()', name))}</filter>"
            f"</{table.partition('.')[2]}>"
            for table, condition in filters.items()
        )
    }</cdp></databases>
    </default></users>
</clickhouse>"""


ADMINISTRATOR = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    <access_management>1</access_management></default></users></clickhouse>"""
"""The configuration of an engine whose one user may do all."""


def write_config(folder: Path, users: str) -> Path:
    """Write an engine's configuration with these users, and return its path."""
    folder.mkdir(parents=True)
    (folder / "users.xml").write_text(users)
    config = folder / "engine.xml"
    config.write_text(
        f"<clickhouse><timezone>UTC</timezone><users_config>{folder / 'users.xml'}</users_config></clickhouse>"
    )
    return config


def migrations() -> list[str]:
    """Return the statements that make the database."""
    rendered = [render_text(path.read_text(), Settings()) for path in sorted(MIGRATIONS.glob("*.sql"))]
    ups = [text.split("-- migrate:up\n")[1].split("-- migrate:down")[0].strip() for text in rendered]
    return ["CREATE DATABASE cdp", *(up.removesuffix(";") for up in ups)]


def administrator_file(grants: list[str], workspace: UUID) -> str:
    """Return the configuration of an engine whose one user has these grants, with the names that statements alter."""
    nobody = "<password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
    user = access.user_of(workspace)
    queries = "".join(f"<query>{escape(grant)}</query>" for grant in grants)
    return f"""<clickhouse><profiles><default/></profiles><quotas><default/><cdp_sql/></quotas>
    <roles><cdp_sql><grants><query>GRANT SELECT(mid) ON cdp.events_track</query></grants></cdp_sql></roles>
    <users><default>{nobody}<grants>{queries}</grants></default><{user}>{nobody}</{user}></users></clickhouse>"""
