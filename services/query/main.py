"""The query service: composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from services.kit import service as kit
from services.kit.clickhouse import ClickHouse
from services.kit.postgres import Postgres
from services.kit.schema_gate import SchemaGate
from services.kit.service import RequestContext, Service
from services.kit.settings import Settings, load
from services.query.analysis.funnel.handler import funnel, funnel_actors
from services.query.analysis.lifecycle.handler import lifecycle, lifecycle_actors
from services.query.analysis.paths.handlers import paths, paths_actors
from services.query.analysis.retention import retention, retention_actors
from services.query.analysis.session.handlers import session, session_actors
from services.query.analysis.session.listed import session_list
from services.query.analysis.stickiness.handler import stickiness, stickiness_actors
from services.query.analysis.trends.actors import trends_actors
from services.query.analysis.trends.handler import trends
from services.query.catalog import catalog
from services.query.engine_gate import EngineGate
from services.query.events import events
from services.query.forget import forget
from services.query.resources import Resources
from services.query.saved import handlers as saved
from services.query.saved.purging import purging
from services.query.sql.engine import SqlEngine
from services.query.sql.estimate import sql_estimate
from services.query.sql.handler import sql, sql_cancel
from services.query.sql.history import History
from services.query.sql.history_list import sql_history
from services.query.sql.progress import sql_progress
from services.query.sql.schema import sql_schema
from services.query.sql.slots import Slots
from services.query.workspace import workspace_get, workspace_put


def build(settings: Settings) -> Service:
    """Return the service, its handlers bound to stores that connect when it starts."""
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=settings.clickhouse_pool_size)
    postgres = Postgres(settings.postgres_url, size=settings.postgres_pool_size)
    resources = Resources(
        settings=settings,
        clickhouse=clickhouse,
        postgres=postgres,
        schema=SchemaGate(clickhouse, settings.clickhouse_cluster),
        engine=EngineGate(clickhouse),
        sql=SqlEngine(settings, clickhouse),
        slots=Slots(settings),
        history=History(postgres),
    )
    handlers: dict[str, Callable[[Resources, Any, RequestContext], Awaitable[Any]]] = {
        "events": events,
        "catalog": catalog,
        "funnel": funnel,
        "funnel_actors": funnel_actors,
        "trends": trends,
        "trends_actors": trends_actors,
        "retention": retention,
        "retention_actors": retention_actors,
        "session": session,
        "paths": paths,
        "paths_actors": paths_actors,
        "session_actors": session_actors,
        "session_list": session_list,
        "lifecycle": lifecycle,
        "lifecycle_actors": lifecycle_actors,
        "stickiness": stickiness,
        "stickiness_actors": stickiness_actors,
        "sql": sql,
        "sql_cancel": sql_cancel,
        "sql_schema": sql_schema,
        "sql_history": sql_history,
        "sql_progress": sql_progress,
        "sql_estimate": sql_estimate,
        "forget": forget,
        "workspace_get": workspace_get,
        "workspace_put": workspace_put,
    }
    handlers |= saved.handlers(handlers)
    return Service(
        name="query",
        handlers={name: partial(handler, resources) for name, handler in handlers.items()},
        lifespan=partial(_stores, resources),
        checks={
            "clickhouse": resources.clickhouse.ping,
            "postgres": resources.postgres.ping,
            "event_tables": resources.schema.passed,
            "engine": resources.engine.passed,
        },
        optional={"custom_sql": resources.sql.check} if resources.sql.is_set_up else {},
    )


@asynccontextmanager
async def _stores(resources: Resources) -> AsyncIterator[None]:
    await resources.postgres.start()
    await resources.clickhouse.start()
    await resources.sql.start()
    try:
        async with purging(resources.postgres), resources.history.recording():
            yield
    finally:
        await resources.sql.close()
        await resources.clickhouse.close()
        await resources.postgres.close()


def run(settings: Settings) -> None:
    """Serve until SIGTERM, then drain."""
    kit.run(build(settings), settings)


if __name__ == "__main__":
    run(load())
