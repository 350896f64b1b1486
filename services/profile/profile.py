"""The operation `profile.get`."""

from __future__ import annotations

from typing import Final

from contracts.errors import Conflict, NotFound
from contracts.profiles import Profile, ProfileGet
from services.kit.service import RequestContext
from services.profile import references, store
from services.profile.resources import Resources

_SHOWN: Final = 10


async def get(resources: Resources, request: ProfileGet, context: RequestContext) -> Profile:
    """Return one profile.

    Raises:
        InvalidRequest: not a reference.
        NotFound: nobody in this workspace has the id.
        Conflict: several profiles have it; names them.
    """
    wanted = references.parse(context.workspace, request.id, resources.external_ids)
    found = await store.find(resources.postgres, context.workspace, wanted, _SHOWN + 1)
    if not found:
        raise NotFound(f"there is no profile {request.id!r} in this workspace")
    if len(found) > 1:
        ids = ", ".join(str(profile.id) for profile in found[:_SHOWN])
        more = " and more" if len(found) > _SHOWN else ""
        raise Conflict(f"{request.id!r} is in several profiles: {ids}{more}")
    return found[0]
