"""Keys and the list of blocked ids: what data already written depends on."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

from contracts.common import Actor
from services.kit import identity

WORKSPACE = UUID("00112233-4455-6677-8899-aabbccddeeff")
MIGRATIONS = Path(__file__).parents[2] / "deploy" / "clickhouse" / "migrations"


def test_a_key_never_changes() -> None:
    assert identity.actor_key_of(WORKSPACE, "user", "u1") == 4067984962150372106
    assert identity.actor_key_of(WORKSPACE, "anonymous", "a1") == 11140246161133053055


def test_the_same_text_as_user_and_as_anonymous_id_has_two_keys_in_every_workspace() -> None:
    keys = {
        identity.actor_key_of(workspace, kind, "x")
        for workspace in (WORKSPACE, UUID(int=1))
        for kind in ("user", "anonymous")
    }
    assert len(keys) == 4


def test_a_blocked_id_is_nobody() -> None:
    assert {identity.actor_key_of(WORKSPACE, "user", id) for id in identity.BLOCKED_IDS} == {identity.NOBODY}


def test_events_of_nobody_in_particular_are_none() -> None:
    assert identity.is_any_of(WORKSPACE, [Actor(kind="user", id="null")]) == "0"


def test_every_list_of_blocked_ids_in_the_migrations_is_the_one_in_the_code() -> None:
    lists = [
        tuple(re.findall(r"'([^']*)'", found))
        for path in MIGRATIONS.glob("*.sql")
        for found in re.findall(r"_id (?:NOT )?IN\s*\(([^()]*)\)", path.read_text())
    ]
    assert len(lists) >= 4 * 3
    assert set(lists) == {identity.BLOCKED_IDS}
