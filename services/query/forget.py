"""The operation `query.forget`: lists and the history of statements hold ids of people, and must lose them."""

from __future__ import annotations

from contracts.privacy import Forget, Forgotten
from services.kit.service import RequestContext
from services.query.resources import Resources
from services.query.saved import list_store
from services.query.sql import history_store


async def forget(resources: Resources, request: Forget, context: RequestContext) -> Forgotten:
    """Remove actors from what this service keeps. Asking again does no harm.

    Raises:
        Unavailable: PostgreSQL does not answer.
    """
    entries = await list_store.forget(resources.postgres, context.workspace, request.actors)
    texts = {actor.id for actor in request.actors}
    statements = await history_store.forget(resources.postgres, context.workspace, texts)
    return Forgotten(list_entries=entries, statements=statements)
