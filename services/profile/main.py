"""The profile service: composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from services.kit import service as kit
from services.kit.service import RequestContext, Service
from services.kit.settings import Settings, load
from services.profile.changes import publishing
from services.profile.merging.applying import Applier
from services.profile.merging.health import warnings
from services.profile.merging.listing import merges
from services.profile.merging.merge import merge
from services.profile.merging.unmerge import unmerge
from services.profile.privacy.access import access
from services.profile.privacy.carrying import Carrier
from services.profile.privacy.handlers import delete, deletion_get, deletions_list, suppress
from services.profile.profile import get
from services.profile.projection.projector import Projector
from services.profile.resources import Resources
from services.profile.search.batch import batch
from services.profile.search.export import Exporter
from services.profile.search.search import search
from services.profile.timeline.events import events
from services.profile.timeline.identities import identities
from services.profile.timeline.sessions import sessions
from services.profile.timeline.summary import summary


def build(settings: Settings) -> Service:
    """Return the service, its handlers bound to stores that connect when it starts."""
    resources = Resources.of(settings)
    carrier, applier = Carrier(resources), Applier(resources)
    handlers: dict[str, Callable[[Resources, Any, RequestContext], Awaitable[Any]]] = {
        "get": get,
        "search": search,
        "batch": batch,
        "export": Exporter(max(1, settings.postgres_pool_size // 2)).export,
        "events": events,
        "sessions": sessions,
        "identities": identities,
        "summary": summary,
        "merge": partial(merge, applier),
        "unmerge": partial(unmerge, applier),
        "merges": merges,
        "warnings": warnings,
        "delete": partial(delete, carrier),
        "access": access,
        "suppress": partial(suppress, carrier),
        "deletion_get": deletion_get,
        "deletions_list": deletions_list,
    }
    return Service(
        name="profile",
        handlers={name: partial(handler, resources) for name, handler in handlers.items()},
        lifespan=partial(_at_work, resources, carrier, applier),
        checks={
            "clickhouse": resources.clickhouse.ping,
            "postgres": resources.postgres.ping,
            "event_tables": resources.schema.passed,
        },
        metrics=resources.metrics,
    )


@asynccontextmanager
async def _at_work(resources: Resources, carrier: Carrier, applier: Applier) -> AsyncIterator[None]:
    async with (
        resources.opened(),
        carrier.running(),
        applier.running(),
        publishing(resources),
        Projector(resources).running(),
    ):
        yield


def run(settings: Settings) -> None:
    """Serve until SIGTERM, then drain."""
    kit.run(build(settings), settings)


if __name__ == "__main__":
    run(load())
