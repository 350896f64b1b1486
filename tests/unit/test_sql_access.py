"""The users of custom SQL on a ClickHouse server, as text, and which servers are trusted with them."""

from __future__ import annotations

import re
from itertools import pairwise
from uuid import UUID

import pytest

from services.query.sql.access import (
    OWN_ROWS,
    SENT,
    foreign_rows,
    password_of,
    revoke_shared_statements,
    revoke_statements,
    shared_statements,
    user_of,
    user_statements,
)
from services.query.sql.version import version_problem

WORKSPACE = UUID("11111111-2222-4333-8444-555555555555")
USER = "cdp_sql_11111111222243338444555555555555"
TABLES = [f"cdp.events_{table}" for table in ("track", "identify", "page", "group")]
MADE = user_statements(WORKSPACE, "x", {"max_memory_usage": 7, "timeout_overflow_mode": "throw", "flag": True}, 900)


def test_nothing_is_ever_replaced() -> None:
    """A user made anew has another inner id, and no policy knows it."""
    for cluster in ("", "main"):
        statements = [
            *shared_statements(("cdp",), cluster=cluster),
            *user_statements(WORKSPACE, "x", {}, 9, cluster=cluster),
        ]
        assert not any("OR REPLACE" in statement for statement in statements)
        for first, second in pairwise(statements):
            if first.startswith("CREATE") and not first.startswith("CREATE ROLE"):
                assert second == first.replace("CREATE", "ALTER", 1).replace("IF NOT EXISTS ", "", 1)


def test_every_table_is_confined_before_anybody_may_read_it() -> None:
    statements = shared_statements(("it`s",))
    assert statements[0] == "CREATE ROLE IF NOT EXISTS cdp_sql"
    for table in TABLES:
        assert f"ALTER ROW POLICY cdp_sql_own ON {table} USING {OWN_ROWS} AS RESTRICTIVE TO cdp_sql" in statements
        assert f"ALTER ROW POLICY cdp_sql_readers ON {table} USING 1 AS PERMISSIVE TO `cdp_sql`, `it\\`s`" in statements
    assert [index for index, statement in enumerate(statements) if "GRANT" in statement] == [len(statements) - 2]


def test_the_role_reads_the_four_tables_but_for_two_columns_and_the_identity_dictionary_alone() -> None:
    grant, revoke = shared_statements(("cdp",))[-2:]
    assert grant.endswith(" TO cdp_sql WITH REPLACE OPTION")
    assert re.findall(r" ON ([\w.]+)", grant) == [*TABLES, "cdp.identity"]
    assert grant.count("SELECT ON") == len(TABLES)
    assert grant.count("dictGet ON") == 1
    assert revoke == f"REVOKE {', '.join(f'SELECT(mid, version) ON {table}' for table in TABLES)} FROM cdp_sql"


def test_a_user_is_read_only_with_settings_it_cannot_change_but_for_three() -> None:
    assert user_of(WORKSPACE) == USER
    made, changed, granted = MADE
    assert made.startswith(f"CREATE USER IF NOT EXISTS {USER} IDENTIFIED WITH sha256_hash BY '2d711642b726b044")
    assert changed.startswith(f"ALTER USER {USER} IDENTIFIED WITH sha256_hash BY '2d711642b726b044")
    assert granted == f"GRANT cdp_sql TO {USER} WITH REPLACE OPTION"
    settings = made.partition(" SETTINGS ")[2].split(", ")
    assert settings[0] == "readonly = 1 CONST"
    assert {"max_memory_usage = 7 CONST", "timeout_overflow_mode = 'throw' CONST", "flag = 1 CONST"} <= set(settings)
    changeable = [each.split()[0] for each in settings if not each.endswith(" CONST")]
    assert changeable == list(SENT)
    assert "max_execution_time = 900 MIN 1 MAX 900 CHANGEABLE_IN_READONLY" in settings


def test_on_a_cluster_every_statement_runs_on_it_and_the_tables_behind_are_confined_too() -> None:
    statements = [*shared_statements(("cdp",), cluster="it's"), *user_statements(WORKSPACE, "x", {}, 9, cluster="it's")]
    assert all(" ON CLUSTER 'it\\'s'" in statement for statement in statements)
    for table in TABLES:
        assert any(
            f"ALTER ROW POLICY cdp_sql_own ON CLUSTER 'it\\'s' ON {table}_local USING" in each for each in statements
        )
        assert f" SELECT ON {table}_local, " in statements[-5]


def test_passwords_differ_by_workspace_and_secret_and_stand_in_no_statement() -> None:
    one, other = password_of(WORKSPACE, "a" * 32), password_of(WORKSPACE, "b" * 32)
    assert len({one, other, password_of(UUID(int=7), "a" * 32)}) == 3
    assert all(one not in statement for statement in user_statements(WORKSPACE, one, {}, 9))


def test_rows_of_others_are_looked_for_in_every_table() -> None:
    statement = foreign_rows(WORKSPACE)
    assert [
        table for table in TABLES if f"FROM {table} WHERE workspace_id != toUUID('{WORKSPACE}')" in statement
    ] == TABLES


def test_what_is_made_can_be_taken_away_grants_first() -> None:
    assert revoke_statements(WORKSPACE) == [f"DROP USER IF EXISTS {USER}"]
    gone = revoke_shared_statements()
    assert gone[0] == "DROP ROLE IF EXISTS cdp_sql"
    assert sum("DROP ROW POLICY" in statement for statement in gone) == 2 * len(TABLES)


def test_names_of_settings_are_names() -> None:
    with pytest.raises(ValueError, match="no name of a setting"):
        user_statements(WORKSPACE, "x", {"max_threads = 1, readonly": 0}, 9)


@pytest.mark.parametrize("version", ["26.9.2.1", "26.3.27.4", "26.6.4.51", "26.7.7.1", "26.8.2.2", "27.1.1.1"])
def test_versions_with_the_fix_are_trusted(version: str) -> None:
    assert version_problem(version) is None


@pytest.mark.parametrize(
    "version",
    ["25.8.40.1", "26.3.27.3", "26.4.9.9", "26.5.99.99", "26.6.4.50", "26.7.6.48", "26.8.2.1", "24.3", "", "x"],
)
def test_versions_without_it_are_not(version: str) -> None:
    assert version_problem(version) is not None
