"""The operation `profile.unmerge`."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.errors import InvalidRequest, NotFound
from contracts.profile_merges import ProfileUnmerge, ProfileUnmerged
from contracts.profiles import Profile
from services.kit.service import Answer, RequestContext
from services.profile import store as profiles
from services.profile.merging import store
from services.profile.merging.applying import Applier, dropped
from services.profile.merging.deciding import named
from services.profile.merging.graph import Edges, Person, decided, lead
from services.profile.references import ById
from services.profile.resources import Resources


async def unmerge(applier: Applier, resources: Resources, request: ProfileUnmerge, context: RequestContext) -> Answer:
    """Take a merge back. Links, and merges made since, hold as if it had never been.

    Raises:
        InvalidRequest: names neither or both of a merge and an id.
        NotFound: there is no such profile, or it has no such merge.
        Conflict: as `services.profile.merging.merge.merge`.
        Unavailable: a store; as there.
    """
    if (request.merge is None) == (request.other is None):
        raise InvalidRequest.at("/merge", "name the merge by its id, or the id that was merged as `other`: one of them")
    workspace = context.workspace
    person = await named(resources, workspace, request.id, "/id")
    other = None if request.other is None else await named(resources, workspace, request.other, "/other")
    async with store.turn(resources.postgres, workspace) as connection:
        edges = await decided(connection, resources.clickhouse, workspace)
        row = (
            await store.get(connection, workspace, request.merge)
            if request.merge is not None
            else await _lost(connection, edges, workspace, other)
        )
        whole = await lead(edges, person)
        if row is None or whole not in await _leads(edges, row):
            raise NotFound(f"the profile {request.id!r} has no such merge: GET /profiles/{{id}}/merges lists them")
        changed = row["undone_at"] is None
        if changed:
            row = await store.undo(connection, workspace, row["id"], context.principal)
    await applier.apply(workspace)
    answer = ProfileUnmerged(
        changed=changed,
        merge=store.merge_of(row),
        winner=await _find(resources, workspace, store.winner_of(row)),
        loser=await _find(resources, workspace, store.loser_of(row)),
    )
    tags = (*dropped(workspace, [row]), f"profile:{whole.profile(workspace)}")
    return Answer(encode(answer), drop=CacheDrop(workspace_id=workspace, tags=tags) if changed else None)


async def _lost(
    connection: asyncpg.Connection, edges: Edges, workspace: UUID, person: Person | None
) -> asyncpg.Record | None:
    """Return the first merge on the way from an id to its profile; where there is none, the id's own last one."""
    last: asyncpg.Record | None = None
    path: list[Person] = []
    while person is not None and person not in path:
        path.append(person)
        row = await store.newest(connection, workspace, person)
        if row is not None and row["undone_at"] is None:
            return row
        last = row if last is None else last
        person = await edges.link(person)
    return last


async def _leads(edges: Edges, row: asyncpg.Record) -> tuple[Person, Person]:
    """Return whom the winner and the loser of a merge belong to."""
    return await lead(edges, store.winner_of(row)), await lead(edges, store.loser_of(row))


async def _find(resources: Resources, workspace: UUID, person: Person) -> Profile | None:
    found = await profiles.find(resources.postgres, workspace, ById(person.profile(workspace)), 1)
    return found[0] if found else None
