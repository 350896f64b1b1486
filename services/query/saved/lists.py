"""The operations on saved lists of actors."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from contracts.analysis import ActorsPage
from contracts.common import Facts
from contracts.errors import LimitExceeded
from contracts.lists import ActorList, ListActors, ListCreate, ListDelete, ListGet, ListsList, ListsPage
from services.kit import paging
from services.kit.paging import Place
from services.kit.service import RequestContext
from services.query.resources import Resources
from services.query.saved import list_store
from services.query.saved.list_sources import pages, request_for
from services.query.saved.run import Handlers
from services.query.saved.texts import check_label, check_text, sort_key


async def lists_create(
    handlers: Handlers, resources: Resources, request: ListCreate, context: RequestContext
) -> ActorList:
    """Compute a list of actors and keep it as it is now.

    Raises:
        InvalidRequest: a source that cannot be; names the field.
        LimitExceeded: more actors than a list may have.
        CdpError: as the source; then nothing is kept.
    """
    check_label(request.name, request.description)
    source = request_for(request.source)
    most = resources.settings.list_max_actors
    size, facts = 0, None
    id_ = await list_store.begin(resources.postgres, context.workspace, request, context.principal)
    try:
        async with aclosing(pages(handlers, resources, request.source, source, context)) as found:
            async for page in found:
                if size + len(page.data) > most or page.total > most:
                    raise LimitExceeded(
                        f"the list has more than {most} actors (ANALYTICS_LIST_MAX_ACTORS): ask for fewer, with a "
                        "shorter range or `where`"
                    )
                await list_store.add(resources.postgres, id_, size + 1, page.data)
                size += len(page.data)
                facts = _sum(facts, page.meta)
        assert facts is not None, "a list has at least one page"
        return await list_store.finish(resources.postgres, id_, size, facts)
    except BaseException:
        await list_store.remove(resources.postgres, id_)
        raise


async def lists_list(resources: Resources, request: ListsList, context: RequestContext) -> ListsPage:
    """Return a page of saved lists.

    Raises:
        InvalidRequest: a cursor of another request.
    """
    check_text(request.search, "/search")
    by_name = request.sort == "name"
    after = paging.read_place(context.workspace, request, request.cursor, by_name=by_name)
    found = await list_store.find(resources.postgres, context.workspace, request, after)
    shown, following = found[: request.limit], None
    if len(found) > request.limit:
        last = shown[-1]
        place = Place(sort_key(last.name) if by_name else last.created_at, last.id)
        following = paging.write(context.workspace, request, place)
    return ListsPage(data=shown, next_cursor=following)


async def lists_get(resources: Resources, request: ListGet, context: RequestContext) -> ActorList:
    """Return a list, without its actors.

    Raises:
        NotFound: there is none in this workspace.
    """
    return await list_store.get(resources.postgres, context.workspace, request.id)


async def lists_actors(resources: Resources, request: ListActors, context: RequestContext) -> ActorsPage:
    """Return a page of a list's actors.

    Raises:
        InvalidRequest: a cursor of another list.
        NotFound: as `lists_get`.
    """
    after = paging.read_number(context.workspace, request, request.cursor) or 0
    kept = await list_store.get(resources.postgres, context.workspace, request.id)
    listed = await list_store.actors(resources.postgres, kept.id, after=after, limit=request.limit)
    last = after + len(listed)
    following = paging.write(context.workspace, request, last) if last < kept.size else None
    return ActorsPage(data=listed, total=kept.size, next_cursor=following, meta=kept.meta)


async def lists_delete(resources: Resources, request: ListDelete, context: RequestContext) -> ActorList:
    """Delete a list and its actors, for good.

    Raises:
        NotFound: as `lists_get`.
    """
    gone = await list_store.delete(resources.postgres, context.workspace, request.id)
    await list_store.remove(resources.postgres, gone.id)
    return gone


def _sum(before: Facts | None, page: Facts) -> Facts:
    if before is None:
        return page
    return msgspec.structs.replace(
        before, rows_read=before.rows_read + page.rows_read, bytes_read=before.bytes_read + page.bytes_read
    )
