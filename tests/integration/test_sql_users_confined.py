"""The user of a workspace holds alone: the bare tables, without rewriting or reading, asked of the engine itself.

See `tests.confined` for what of a server's user the engine as a library can be given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from contracts.common import TABLES
from services.query.sql import access
from services.query.sql.prepare import prepare
from services.query.sql.tables import physical
from tests.confined import (
    ADMINISTRATOR,
    administrator_file,
    migrations,
    statements_of,
    users_file,
    write_config,
)
from tests.engine_process import EngineProcess
from tests.oracle.sql_attacks import ENDLESS, attacks
from tests.oracle.sql_corpus import QUERIES

pytestmark = pytest.mark.timeout(300)
OWN, OTHER = UUID("11111111-2222-4333-8444-555555555555"), UUID("99999999-2222-4333-8444-555555555555")
ROWS = 12
"""Of each workspace in each table."""
READONLY, DENIED = 164, 497


@dataclass(frozen=True)
class Prepared:
    """A folder of two workspaces' rows, open to one process at a time, and what its administrator found out."""

    folder: Path
    foreign: tuple[int, str]
    """What the question for foreign rows answers to who sees them."""
    taken: list[tuple[str, int, str]]
    """The statements for a server, each with the engine's answer."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("confined")
    (folder / "secret").write_text("CANARY-FILE\n")
    with EngineProcess(folder / "data", write_config(folder / "administrator", ADMINISTRATOR)) as engine:
        for statement in [*migrations(), *_rows(OWN, "CANARY-OWN"), *_rows(OTHER, "CANARY-OTHER")]:
            code, text = engine.run(statement)
            assert code == 0, (statement, text)
        # A server reads a dictionary's source as a user of its own; the library reads it as whoever asks, who may not.
        columns = "key UInt64, actor_key UInt64, kind UInt8, id String"
        source = "SOURCE(NULL()) LAYOUT(HASHED_ARRAY()) LIFETIME(0)"
        code, text = engine.run(f"CREATE OR REPLACE DICTIONARY cdp.identity ({columns}) PRIMARY KEY key {source}")
        assert code == 0, text
        return Prepared(
            folder,
            engine.run(access.foreign_rows(OWN)),
            [(each, *engine.run(each.replace(" CHANGEABLE_IN_READONLY", ""))) for each in statements_of(OWN)],
        )


@pytest.fixture(scope="module")
def own(prepared: Prepared) -> Iterator[EngineProcess]:
    """The engine as the workspace's user."""
    with EngineProcess(prepared.folder / "data", write_config(prepared.folder / "own", users_file(OWN))) as engine:
        yield engine


def _rows(workspace: UUID, name: str) -> Iterator[str]:
    json = (
        f"""concat('{{"p":"{name}","price":', toString(number), ',"product":{{"sku":"s', toString(number), '"}}}}')"""
    )
    own = {
        "track": ("event, properties", f"'{name}', {json}"),
        "page": ("name, properties", f"'{name}', {json}"),
        "identify": ("traits", json),
        "group": ("group_id, traits", f"'{name}', {json}"),
    }
    for table in TABLES:
        columns, values = own[table]
        yield (
            f"INSERT INTO {physical(table)} (workspace_id, message_id, user_id, anonymous_id, timestamp, received_at, "
            f"{columns}, context) SELECT '{workspace}', concat('{table}', toString(number)), "
            f"concat('{name}', toString(number % 4)), concat('{name}-a', toString(number % 3)), "
            f"toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + number * 3600, "
            f"toDateTime64('2026-01-02 00:00:00', 3, 'UTC'), {values}, '{{}}' FROM numbers({ROWS})"
        )


READS = [
    "SELECT count(), uniqExact(workspace_id), countIf(user_id LIKE '%OTHER%') FROM {table}",
    "SELECT count(), uniqExact(workspace_id), sum(throwIf(user_id LIKE '%OTHER%')) FROM {table} FINAL",
    "SELECT count(), uniqExact(w), countIf(u LIKE '%OTHER%') FROM (SELECT workspace_id w, user_id u FROM {table})",
    "WITH t AS (SELECT * FROM {table} PREWHERE 1 OR user_id != '') SELECT count(), uniqExact(workspace_id), 0 FROM t",
    "SELECT count(), uniqExact(workspace_id), countIf(user_id LIKE '%OTHER%') FROM view(SELECT * FROM {table})",
    "SELECT count(), uniqExact(l.workspace_id), 0 FROM {table} AS l LEFT JOIN {table} AS r USING (message_id)",
    "SELECT count(), uniqExact(workspace_id), 0 FROM {table} WHERE workspace_id IN (SELECT workspace_id FROM {table}) "
    "OR workspace_id = '99999999-2222-4333-8444-555555555555'",
]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("query", READS)
def test_a_bare_table_shows_the_workspace_s_own_rows(own: EngineProcess, query: str, table: str) -> None:
    assert own.run(query.format(table=f"cdp.events_{table}")) == (0, f"{ROWS}\t1\t0\n")


def test_the_question_asked_of_every_new_user_finds_no_row_of_others_and_would_find_them(
    own: EngineProcess, prepared: Prepared
) -> None:
    assert own.run(access.foreign_rows(OWN)) == (0, "0\n")
    assert prepared.foreign == (0, f"{len(TABLES)}\n")


REFUSED = [
    # Other tables, and columns that are not granted.
    ("SELECT mid FROM cdp.events_track", DENIED),
    ("SELECT * FROM cdp.events_track WHERE version > 0", DENIED),
    ("SELECT * FROM cdp.identity_links", DENIED),
    ("SELECT * FROM cdp.identity_merges", DENIED),
    ("SELECT * FROM cdp.identity_blocked", DENIED),
    ("SELECT * FROM cdp.identity_links_from_track", DENIED),
    ("SELECT * FROM cdp.identity", DENIED),
    ("SELECT 1 IN cdp.identity_links", DENIED),
    ("SELECT (SELECT count() FROM cdp.identity_links)", DENIED),
    ("SELECT name FROM system.users", DENIED),
    ("SELECT name FROM system.row_policies", DENIED),
    ("SELECT name FROM system.quotas", DENIED),
    # Table functions.
    ("SELECT * FROM merge('cdp', 'events_.*')", DENIED),
    ("SELECT * FROM merge('cdp', '^events_track$')", DENIED),
    ("SELECT * FROM merge(REGEXP('.*'), '.*')", DENIED),
    ("SELECT * FROM loop(cdp.events_track) LIMIT 9", DENIED),
    ("SELECT * FROM mergeTreeIndex('cdp', 'events_track')", DENIED),
    ("SELECT * FROM mergeTreeAnalyzeIndexes(cdp, events_track, event = 'CANARY-OTHER')", DENIED),
    ("SHOW CREATE TABLE cdp.events_track", DENIED),
    ("DESCRIBE TABLE cdp.events_track", DENIED),
    ("SELECT * FROM dictionary('cdp.identity')", DENIED),
    ("SELECT * FROM remote('127.0.0.1', cdp.events_track)", DENIED),
    ("SELECT * FROM remoteSecure('127.0.0.1', cdp.events_track)", DENIED),
    ("SELECT * FROM file('{secret}', 'LineAsString')", DENIED),
    ("SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')", DENIED),
    ("SELECT * FROM s3('http://127.0.0.1:1/bucket/k', 'CSV', 'a String')", DENIED),
    ("SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')", DENIED),
    ("SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')", DENIED),
    ("SELECT * FROM executable('cat', 'TSV', 'a String')", DENIED),
    ("DESCRIBE TABLE file('{secret}', 'LineAsString')", DENIED),
    # Settings.
    ("SET max_threads = 3", READONLY),
    ("SET readonly = 0", READONLY),
    ("SELECT 1 SETTINGS readonly = 0", READONLY),
    ("SELECT 1 SETTINGS max_memory_usage = 0", READONLY),
    ("SELECT 1 SETTINGS max_result_rows = 1", READONLY),
    ("SELECT 1 SETTINGS additional_table_filters = {'x': '1'}", READONLY),
    ("SELECT 1 SETTINGS allow_experimental_eval_table_function = 1", READONLY),
    ("SELECT * FROM cdp.events_track SETTINGS use_query_cache = 1", READONLY),
    # Writes, and users.
    ("INSERT INTO cdp.events_track (message_id) VALUES ('x')", DENIED),
    ("INSERT INTO cdp.events_track (message_id) SELECT 'x'", DENIED),
    ("INSERT INTO FUNCTION file('{secret}.out', 'TSV', 'a String') SELECT 'x'", DENIED),
    ("CREATE TABLE default.x (a UInt8) ENGINE = Memory", DENIED),
    ("CREATE TEMPORARY TABLE x (a UInt8)", DENIED),
    ("CREATE VIEW default.x AS SELECT 1", DENIED),
    ("CREATE FUNCTION f AS x -> x", DENIED),
    ("DROP TABLE cdp.events_track", DENIED),
    ("TRUNCATE TABLE cdp.events_track", DENIED),
    ("ALTER TABLE cdp.events_track DELETE WHERE 1", DENIED),
    ("DELETE FROM cdp.events_track WHERE 1", DENIED),
    ("OPTIMIZE TABLE cdp.events_track", DENIED),
    ("SYSTEM RELOAD DICTIONARIES", DENIED),
    ("SYSTEM STOP MERGES cdp.events_track", DENIED),
    ("CREATE USER x", DENIED),
    ("CREATE ROW POLICY p ON cdp.events_track USING 1 TO ALL", DENIED),
    ("DROP ROW POLICY cdp_sql_own ON cdp.events_track", DENIED),
    ("BACKUP TABLE cdp.events_track TO File('{secret}.zip')", DENIED),
]


@pytest.mark.parametrize(("statement", "code"), REFUSED)
def test_everything_else_is_refused_by_the_engine(
    own: EngineProcess, prepared: Prepared, statement: str, code: int
) -> None:
    found, text = own.run(statement.replace("{secret}", str(prepared.folder / "secret")))
    assert found == code, (found, text)
    assert "CANARY" not in text


def test_settings_of_a_sub_query_change_nothing(own: EngineProcess) -> None:
    settings = "readonly = 0, max_memory_usage = 9"
    inner = f"SELECT getSetting('readonly') AS r, getSetting('max_memory_usage') AS m SETTINGS {settings}"
    assert own.run(f"SELECT r, m FROM ({inner})") == (0, "1\t1073741824\n")


def test_without_its_role_the_user_reads_nothing(own: EngineProcess) -> None:
    assert own.run("SET ROLE NONE")[0] == 0
    assert own.run("SELECT count() FROM cdp.events_track")[0] == DENIED
    assert own.run("SET ROLE DEFAULT")[0] == 0
    assert own.run("SELECT count() FROM cdp.events_track") == (0, f"{ROWS}\n")


def test_real_statements_run_with_the_grants_and_the_policies(own: EngineProcess) -> None:
    """What the first wall writes needs no more than the user has. The oracle of what they mean is elsewhere."""
    answered = 0
    for query in QUERIES:
        code, text = own.run(prepare(query, OWN, None, {}).sql, "JSONCompactEachRow")
        assert code == 0, (query, text)
        assert "OTHER" not in text
        answered += text != ""
    assert answered > 0.8 * len(QUERIES)


def test_a_statement_prepared_for_another_workspace_shows_nothing(own: EngineProcess) -> None:
    for table in TABLES:
        written = prepare(f"SELECT * FROM events_{table}", OTHER, None, {}).sql
        assert own.run(written) == (0, "")


def test_no_attack_shows_another_s_row(own: EngineProcess, prepared: Prepared) -> None:
    """The text as it was sent, and with the real names of the tables. Those that only go on and on are for limits."""
    secret = prepared.folder / "secret"
    for text in (each for each in attacks(100, 5) if not ENDLESS.search(each)):
        for name, value in (("{other}", str(OTHER)), ("{file}", str(secret)), ("{port}", "1")):
            text = text.replace(name, value)
        text = text.replace("{{", "{").replace("}}", "}")
        for statement in {text, text.replace("FROM events_", "FROM cdp.events_")}:
            _, answer = own.run(statement)
            assert "CANARY-OTHER" not in answer, (statement, answer[:500])


def test_the_engine_takes_the_statements_of_a_server_as_far_as_it_can(prepared: Prepared) -> None:
    """It has nowhere to keep users (514), and so knows none (192, 511), but it reads them: words, settings, values."""
    assert {statement.split(maxsplit=1)[0] for statement, _, _ in prepared.taken} == {
        "CREATE",
        "ALTER",
        "GRANT",
        "REVOKE",
    }
    for statement, code, text in prepared.taken:
        assert code in (192, 511, 514), (statement, text)
        if statement.startswith(("CREATE USER", "CREATE ROLE")):
            assert code == 514, (statement, text)


README = (Path(__file__).parents[2] / "deploy" / "clickhouse" / "README.md").read_text(encoding="utf-8")
GRANTS = re.findall(r"^(GRANT [^;]+ TO cdp_access[^;]*);", README, re.MULTILINE)


@pytest.mark.parametrize("left_out", [None, *(each for each in GRANTS if "ROLE ADMIN" in each)])
def test_the_grants_of_the_one_who_makes_the_users_suffice(tmp_path: Path, left_out: str | None) -> None:
    """An engine that keeps its users in a file refuses to write there, but first, what the grants do not cover."""
    assert len(GRANTS) == 6
    grants = [each.replace(" TO cdp_access", "") for each in GRANTS if each != left_out]
    config = write_config(tmp_path / "config", administrator_file(grants, OWN))
    with EngineProcess(tmp_path / "data", config) as engine:
        codes = {engine.run(each.replace(" CHANGEABLE_IN_READONLY", ""))[0] for each in statements_of(OWN)}
    assert (DENIED in codes) is (left_out is not None)
    assert codes <= {DENIED, 495, 514, 523}
