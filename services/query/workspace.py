"""The operations `query.workspace_get` and `query.workspace_put`."""

from __future__ import annotations

from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.workspace import WorkspaceGet, WorkspaceSettings
from services.kit.service import Answer, RequestContext
from services.query import workspaces
from services.query.resources import Resources


async def workspace_get(resources: Resources, request: WorkspaceGet, context: RequestContext) -> WorkspaceSettings:
    """Return the workspace's settings; defaults where none were ever written."""
    return await workspaces.get(resources.postgres, context.workspace)


async def workspace_put(resources: Resources, request: WorkspaceSettings, context: RequestContext) -> Answer:
    """Replace the workspace's settings and drop the cached answers that took the old ones for granted.

    Raises:
        InvalidRequest: a time zone that is none.
    """
    await workspaces.put(resources.postgres, context.workspace, request, context.principal)
    settings = await workspaces.get(resources.postgres, context.workspace)
    return Answer(encode(settings), drop=CacheDrop(workspace_id=context.workspace, tags=("workspace",)))
