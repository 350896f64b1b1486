"""The operation `profile.merges`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from contracts.profile_merges import MergesList, MergesPage
from services.kit import paging
from services.kit.paging import Place
from services.kit.service import RequestContext
from services.profile.merging import store
from services.profile.profile import one
from services.profile.resources import Resources

_NEWEST: Final = (datetime(2200, 1, 1, tzinfo=UTC), UUID(int=0))


async def merges(resources: Resources, request: MergesList, context: RequestContext) -> MergesPage:
    """Return a page of the merges that ids of a profile won or lost.

    Raises:
        InvalidRequest: not a reference, or a cursor of another request.
        NotFound, Conflict: as `services.profile.profile.one`.
    """
    after = paging.read_place(context.workspace, request, request.cursor, by_name=False)
    profile = await one(resources, context.workspace, request.id)
    before = _NEWEST if after is None or isinstance(after.key, str) else (after.key, after.id)
    rows = await store.of_profile(
        resources.postgres, context.workspace, profile.id, before=before, limit=request.limit + 1
    )
    found = [store.merge_of(row) for row in rows]
    shown, following = tuple(found[: request.limit]), None
    if len(found) > request.limit:
        following = paging.write(context.workspace, request, Place(shown[-1].merged_at, shown[-1].id))
    return MergesPage(data=shown, next_cursor=following)
