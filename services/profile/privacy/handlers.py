"""The operations on deletions."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.common import Actor
from contracts.errors import InvalidRequest
from contracts.privacy import Deletion, DeletionGet, DeletionsList, DeletionsPage, ProfileDelete, Suppress
from services.kit import paging
from services.kit.identity import NOBODY, actor_key_of
from services.kit.paging import Place
from services.kit.service import RequestContext
from services.profile.ids import signed
from services.profile.locks import lock
from services.profile.privacy import persons, store
from services.profile.privacy.carrying import Carrier
from services.profile.profile import one
from services.profile.resources import Resources


async def delete(carrier: Carrier, resources: Resources, request: ProfileDelete, context: RequestContext) -> Deletion:
    """Forget one person: all ids of the profile, in every store, for good.

    Raises:
        InvalidRequest, NotFound, Conflict: as `profile.get`.
    """
    profile = await one(resources, context.workspace, request.id)
    named = [Actor(kind="anonymous", id=id_) for id_ in profile.anonymous_ids]
    if profile.user_id is not None:
        named.append(Actor(kind="user", id=profile.user_id))
    return await _forget(carrier, resources, named, context)


async def suppress(carrier: Carrier, resources: Resources, request: Suppress, context: RequestContext) -> Deletion:
    """Forget the persons that some ids belong to, seen or not.

    Raises:
        InvalidRequest: an id that is none.
    """
    for index, actor in enumerate(request.actors):
        if "\0" in actor.id or actor_key_of(context.workspace, actor.kind, actor.id) == NOBODY:
            raise InvalidRequest.at(f"/actors/{index}/id", "is what senders make of an absent id: nobody has it")
    return await _forget(carrier, resources, list(request.actors), context)


async def deletion_get(resources: Resources, request: DeletionGet, context: RequestContext) -> Deletion:
    """Return how far a deletion is.

    Raises:
        NotFound: there is none in this workspace.
    """
    return await store.get(resources.postgres, context.workspace, request.id)


async def deletions_list(resources: Resources, request: DeletionsList, context: RequestContext) -> DeletionsPage:
    """Return a page of deletions.

    Raises:
        InvalidRequest: a cursor of another request.
    """
    after = paging.read_place(context.workspace, request, request.cursor, by_name=False)
    found = await store.find(resources.postgres, context.workspace, after=after, limit=request.limit + 1)
    shown, following = tuple(found[: request.limit]), None
    if len(found) > request.limit:
        place = Place(shown[-1].requested_at, shown[-1].id)
        following = paging.write(context.workspace, request, place)
    return DeletionsPage(data=shown, next_cursor=following)


async def _forget(carrier: Carrier, resources: Resources, actors: Sequence[Actor], context: RequestContext) -> Deletion:
    """Record the deletion, which takes the person out of PostgreSQL; the other stores follow."""
    joined = await persons.linked(resources.clickhouse, context.workspace, actors)
    async with resources.postgres.connection() as connection, connection.transaction():
        await lock(connection, context.workspace)
        person = await persons.person(connection, context.workspace, [*actors, *joined])
        keys = [signed(key) for key in person.keys(context.workspace)]
        id_ = await store.record(connection, context.workspace, keys, person.profiles, person.actors, context.principal)
    carrier.wake()
    return await store.get(resources.postgres, context.workspace, id_)
