"""The operations on saved queries, but for running them."""

from __future__ import annotations

from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.errors import PreconditionRequired
from contracts.queries import (
    QueriesList,
    QueriesPage,
    QueryCreate,
    QueryDelete,
    QueryGet,
    QueryReplace,
    QueryRestore,
    QueryVersion,
    QueryVersionGet,
    QueryVersionRestore,
    QueryVersions,
    QueryVersionsPage,
    SavedQuery,
)
from contracts.versioned import IfMatch
from services.kit import paging
from services.kit.paging import Place
from services.kit.service import Answer, RequestContext
from services.query.resources import Resources
from services.query.saved import store
from services.query.saved.kinds import analysis, check_definition
from services.query.saved.run import cache_tag
from services.query.saved.texts import check_label, check_text, sort_key


async def queries_create(resources: Resources, request: QueryCreate, context: RequestContext) -> Answer:
    """Keep a new query.

    Raises:
        InvalidRequest: no such kind, or the definition is no request of it.
    """
    _check(request)
    return _shown(await store.create(resources.postgres, context.workspace, request, context.principal))


async def queries_list(resources: Resources, request: QueriesList, context: RequestContext) -> QueriesPage:
    """Return a page of saved queries.

    Raises:
        InvalidRequest: no such kind, or a cursor of another request.
    """
    check_text(request.search, "/search")
    check_text(request.tag, "/tag")
    if request.kind is not None:
        analysis(request.kind)
    by_name = request.sort == "name"
    after = paging.read_place(context.workspace, request, request.cursor, by_name=by_name)
    found = await store.find(resources.postgres, context.workspace, request, after)
    shown, following = found[: request.limit], None
    if len(found) > request.limit:
        last = shown[-1]
        place = Place(sort_key(last.name) if by_name else last.updated_at, last.id)
        following = paging.write(context.workspace, request, place)
    return QueriesPage(data=shown, next_cursor=following)


async def queries_get(resources: Resources, request: QueryGet, context: RequestContext) -> Answer:
    """Return a query.

    Raises:
        NotFound: there is none in this workspace, or it was deleted.
    """
    return _shown(await store.get(resources.postgres, context.workspace, request.id))


async def queries_replace(resources: Resources, request: QueryReplace, context: RequestContext) -> Answer:
    """Make a new version of a query.

    Raises:
        InvalidRequest: as `queries_create`.
        NotFound: as `queries_get`.
        PreconditionRequired, PreconditionFailed: no version is said to be known, or not the newest.
    """
    known = _required(request.if_match)
    _check(request)
    saved = await store.replace(resources.postgres, context.workspace, request.id, known, request, context.principal)
    return _shown(saved, changed=context)


async def queries_delete(resources: Resources, request: QueryDelete, context: RequestContext) -> Answer:
    """Delete a query; for 30 days it can be restored.

    Raises:
        NotFound, PreconditionRequired, PreconditionFailed: as `queries_replace`.
    """
    known = _required(request.if_match)
    return _shown(await store.delete(resources.postgres, context.workspace, request.id, known), changed=context)


async def queries_restore(resources: Resources, request: QueryRestore, context: RequestContext) -> Answer:
    """Have a deleted query back, as it was.

    Raises:
        NotFound: there is none in this workspace, or it was deleted too long ago.
    """
    return _shown(await store.restore(resources.postgres, context.workspace, request.id), changed=context)


async def queries_versions(resources: Resources, request: QueryVersions, context: RequestContext) -> QueryVersionsPage:
    """Return the versions of a query.

    Raises:
        NotFound: as `queries_get`.
    """
    before = paging.read_number(context.workspace, request, request.cursor)
    found = await store.versions(
        resources.postgres, context.workspace, request.id, before=before, limit=request.limit + 1
    )
    shown, following = found[: request.limit], None
    if len(found) > request.limit:
        following = paging.write(context.workspace, request, shown[-1].version)
    return QueryVersionsPage(data=shown, next_cursor=following)


async def queries_version(resources: Resources, request: QueryVersionGet, context: RequestContext) -> QueryVersion:
    """Return one version of a query.

    Raises:
        NotFound: as `queries_get`, or there is no such version.
    """
    return await store.version(resources.postgres, context.workspace, request.id, request.version)


async def queries_version_restore(
    resources: Resources, request: QueryVersionRestore, context: RequestContext
) -> Answer:
    """Make a new version of a query that is what an old one was.

    Raises:
        InvalidRequest: the old definition is no request of its kind any more.
        NotFound: as `queries_version`.
        PreconditionRequired, PreconditionFailed: as `queries_replace`.
    """
    known = _required(request.if_match)
    old = await store.version(resources.postgres, context.workspace, request.id, request.version)
    content = QueryCreate(
        name=old.name, description=old.description, tags=old.tags, kind=old.kind, definition=old.definition
    )
    _check(content)
    saved = await store.replace(resources.postgres, context.workspace, request.id, known, content, context.principal)
    return _shown(saved, changed=context)


def _check(content: QueryCreate) -> None:
    check_label(content.name, content.description, content.tags)
    check_definition(content.kind, content.definition)


def _required(if_match: IfMatch | None) -> IfMatch:
    if if_match is None:
        raise PreconditionRequired("say which version is known: over HTTP by If-Match, over NATS by if_match")
    return if_match


def _shown(saved: SavedQuery, changed: RequestContext | None = None) -> Answer:
    """Return a query as an answer. `changed`: what was computed from it before is no longer its answer."""
    drop = None if changed is None else CacheDrop(workspace_id=changed.workspace, tags=(cache_tag(saved.id),))
    return Answer(encode(saved), version=saved.version, drop=drop)
