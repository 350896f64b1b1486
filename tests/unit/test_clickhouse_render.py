"""Migration files filled in for one node and for a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.clickhouse.render import render, render_text
from services.kit.settings import Settings

MIGRATIONS = Path(__file__).parents[2] / "deploy" / "clickhouse" / "migrations"
NODE = Settings(clickhouse_url="clickhouse://default:@localhost:9000/events")
CLUSTER = Settings(clickhouse_cluster="main", clickhouse_dictionary_login="reader:it's")


def every(settings: Settings) -> list[str]:
    return [render_text(path.read_text(), settings) for path in sorted(MIGRATIONS.glob("*.sql"))]


def test_one_node_has_plain_engines_in_the_database_of_the_url() -> None:
    text = "\n".join(every(NODE))
    assert "CREATE TABLE IF NOT EXISTS `events`.events_track\n" in text
    assert not any(word in text for word in ("ON CLUSTER", "Replicated", "Distributed", "_local", "PASSWORD", "$"))


def test_a_cluster_has_replicated_tables_behind_distributed_ones() -> None:
    text = "\n".join(every(CLUSTER))
    assert "CREATE TABLE IF NOT EXISTS `cdp`.events_track_local ON CLUSTER 'main'\n" in text
    assert "ENGINE = ReplicatedReplacingMergeTree(version)" in text
    assert "ENGINE = Distributed('main', `cdp`, events_track_local, " in text
    assert text.count(" ON CLUSTER 'main'") >= 2 * text.count("CREATE ")


def test_the_dictionary_reads_as_the_user_named_in_the_settings() -> None:
    dictionaries = [text for text in every(CLUSTER) if " DICTIONARY " in text]
    assert dictionaries
    assert all("SOURCE(CLICKHOUSE(USER 'reader' PASSWORD 'it\\'s' QUERY '" in text for text in dictionaries)


def test_what_only_a_cluster_needs_is_a_version_that_does_nothing_on_one_node(tmp_path: Path) -> None:
    render(MIGRATIONS, tmp_path, NODE)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in MIGRATIONS.glob("*.sql"))
    [distributed] = tmp_path.glob("*_events_track_distributed.sql")
    assert distributed.read_text().count("SELECT 1;") == 2


def test_every_migration_is_one_statement_each_way() -> None:
    for text in every(CLUSTER):
        up, down = text.split("-- migrate:up\n")[1].split("-- migrate:down\n")
        assert up.strip().count(";\n") == 0
        assert up.strip().endswith(";")
        assert down.strip().count(";") == 1


@pytest.mark.parametrize("name", ["main' ENGINE = Null --", "a b", "é;"])
def test_a_name_that_no_cluster_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a ClickHouse cluster"):
        render_text("${on_cluster}", Settings(clickhouse_cluster=name))
