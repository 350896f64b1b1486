"""The user of a workspace on a ClickHouse server, as text, and which servers are trusted with one."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.query.sql.access import grant_statements, revoke_statements, user_of, version_problem

WORKSPACE = UUID("11111111-2222-4333-8444-555555555555")
USER = "cdp_sql_11111111222243338444555555555555"
GRANTED = grant_statements(
    WORKSPACE, "it's", {"max_execution_time": 30, "timeout_overflow_mode": "throw"}, {"queries": 9}
)


def test_a_user_is_read_only_with_settings_it_cannot_change() -> None:
    assert user_of(WORKSPACE) == USER
    assert GRANTED[0] == (
        f"CREATE SETTINGS PROFILE OR REPLACE {USER} SETTINGS readonly = 1 CONST, max_execution_time = 30 CONST, "
        "timeout_overflow_mode = 'throw' CONST"
    )
    assert GRANTED[1] == (
        f"CREATE USER OR REPLACE {USER} IDENTIFIED WITH sha256_password BY 'it\\'s' DEFAULT DATABASE NONE "
        f"SETTINGS PROFILE '{USER}'"
    )
    assert GRANTED[2] == f"CREATE QUOTA OR REPLACE {USER} FOR INTERVAL 1 hour MAX queries = 9 TO {USER}"


def test_a_user_reads_its_rows_of_the_four_tables_and_the_identity_dictionary_alone() -> None:
    grants = [statement for statement in GRANTED if statement.startswith("GRANT")]
    assert [statement.rsplit(" ON ")[1] for statement in grants] == [
        *(f"cdp.events_{table} TO {USER}" for table in ("track", "identify", "page", "group")),
        f"cdp.identity TO {USER}",
    ]
    assert all(statement.startswith(("GRANT SELECT(", "GRANT dictGet ON ")) for statement in grants)
    policies = [statement for statement in GRANTED if "ROW POLICY" in statement]
    assert len(policies) == 4
    for policy in policies:
        assert policy.endswith(f"USING workspace_id = toUUID('{WORKSPACE}') AS PERMISSIVE TO {USER}")
    for table in ("track", "identify", "page", "group"):
        at = [index for index, statement in enumerate(GRANTED) if f"cdp.events_{table} " in statement]
        assert "ROW POLICY" in GRANTED[at[0]]
        assert "GRANT" in GRANTED[at[1]]


def test_taking_a_user_away_takes_the_user_first() -> None:
    gone = revoke_statements(WORKSPACE)
    assert gone[0] == f"DROP USER IF EXISTS {USER}"
    assert len(gone) == 7


def test_names_of_settings_are_names() -> None:
    with pytest.raises(ValueError, match="no name of a setting"):
        grant_statements(WORKSPACE, "x", {"max_threads = 1, readonly": 0}, {"queries": 1})


@pytest.mark.parametrize("version", ["26.9.2.1", "26.3.27.4", "26.6.4.51", "26.7.7.1", "26.8.2.2", "27.1.1.1"])
def test_versions_with_the_fix_are_trusted(version: str) -> None:
    assert version_problem(version) is None


@pytest.mark.parametrize(
    "version",
    ["25.8.40.1", "26.3.27.3", "26.4.9.9", "26.5.99.99", "26.6.4.50", "26.7.6.48", "26.8.2.1", "24.3", "", "x"],
)
def test_versions_without_it_are_not(version: str) -> None:
    assert version_problem(version) is not None
