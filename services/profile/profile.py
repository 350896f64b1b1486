"""The operation `profile.get`, and how the others find the profile a request names."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from contracts.base import encode
from contracts.caching import CachePolicy
from contracts.errors import Conflict, NotFound
from contracts.profiles import Profile, ProfileGet
from services.kit.service import Answer, RequestContext
from services.kit.wide import safe_json
from services.profile import references, store
from services.profile.resources import Resources

_SHOWN: Final = 10


async def get(resources: Resources, request: ProfileGet, context: RequestContext) -> Answer:
    """Return one profile.

    Raises:
        As `one`.
    """
    profile = await one(resources, context.workspace, request.id)
    tags = [f"profile:{profile.id}"]
    if isinstance(references.parse(context.workspace, request.id, resources.external_ids), references.ByTrait):
        tags.append("profiles")  # any other may come to have the trait, too
    policy = CachePolicy(ttl=resources.settings.cache_ttl_profile_seconds, tags=tuple(tags))
    return Answer(safe_json(encode(profile)), cache=policy)


async def one(resources: Resources, workspace: UUID, reference: str, pointer: str = "/id") -> Profile:
    """Return the profile that a reference means; `pointer` is where the request has it.

    Raises:
        InvalidRequest: not a reference.
        NotFound: nobody in this workspace has the id.
        Conflict: several profiles have it; names them.
    """
    wanted = references.parse(workspace, reference, resources.external_ids, pointer)
    found = await store.find(resources.postgres, workspace, wanted, _SHOWN + 1)
    if not found:
        raise NotFound(f"there is no profile {reference!r} in this workspace")
    if len(found) > 1:
        ids = ", ".join(str(profile.id) for profile in found[:_SHOWN])
        more = " and more" if len(found) > _SHOWN else ""
        raise Conflict(f"{reference!r} is in several profiles: {ids}{more}")
    return found[0]
