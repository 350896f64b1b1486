"""The operation `profile.merge`."""

from __future__ import annotations

from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.profile_merges import ProfileMerge, ProfileMerged
from services.kit.service import Answer, RequestContext
from services.profile.merging import store
from services.profile.merging.applying import Applier, dropped
from services.profile.merging.deciding import decide, named
from services.profile.merging.simulation import simulate
from services.profile.profile import one
from services.profile.resources import Resources


async def merge(applier: Applier, resources: Resources, request: ProfileMerge, context: RequestContext) -> Answer:
    """Merge one profile into another, or say what that would change.

    Raises:
        InvalidRequest, NotFound: as `services.profile.profile.one`, for either.
        Conflict: a reference means several profiles, or as `services.profile.merging.deciding.decide`.
        Unavailable: a store. The merge may have been accepted: then it is applied as soon as all stores are there.
    """
    workspace = context.workspace
    winner = await named(resources, workspace, request.id, "/id")
    loser = await named(resources, workspace, request.other, "/other")
    if request.dry_run:
        await applier.apply(workspace)
        return Answer(encode(await simulate(resources, workspace, winner, loser)))
    async with store.turn(resources.postgres, workspace) as connection:
        pair = await decide(connection, resources, workspace, winner, loser)
        changed = pair.winner != pair.loser
        row = (
            await store.record(connection, workspace, pair.winner, pair.loser, context.principal)
            if changed
            else await store.newest(connection, workspace, loser)
        )
    await applier.apply(workspace)
    answer = ProfileMerged(
        changed=changed,
        profile=await one(resources, workspace, str(pair.winner.profile(workspace))),
        merge=None if row is None or row["undone_at"] is not None else store.merge_of(row),
        effects=None,
    )
    drop = CacheDrop(workspace_id=workspace, tags=dropped(workspace, [row])) if changed else None
    return Answer(encode(answer), drop=drop)
