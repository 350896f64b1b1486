"""The settings of a statement of custom SQL are those that its user may send, and hold the tenant's filter."""

from __future__ import annotations

from uuid import UUID

from deploy.embedded.stores.clickhouse import SQL_SETTINGS
from services.kit.clickhouse.wire import with_common
from services.kit.settings import Settings
from services.kit.statements import limits
from services.query.sql.engine import settings_of
from services.query.sql.slots import share

WORKSPACE = UUID("11111111-2222-4333-8444-555555555555")


def test_the_embedded_user_may_send_every_setting_that_comes_with_a_statement() -> None:
    sent = with_common(settings_of(limits(Settings()) | share(Settings()), WORKSPACE, "UTC", 30, 100))
    assert sent.keys() <= set(SQL_SETTINGS)
    assert "readonly" not in SQL_SETTINGS


def test_every_event_table_is_filtered_by_the_workspace() -> None:
    filters = settings_of(limits(Settings()), WORKSPACE, "UTC", 30, 100)["additional_table_filters"]
    condition = f"'workspace_id = toUUID(\\'{WORKSPACE}\\')'"
    tables = ("track", "identify", "page", "group")
    assert filters == "{" + ", ".join(f"'cdp.events_{name}': {condition}" for name in tables) + "}"
