"""The operations `query.workspace_get` and `query.workspace_put`."""

from __future__ import annotations

from contracts.base import encode
from contracts.caching import CacheDrop
from contracts.workspace import WorkspaceGet, WorkspaceSettings
from services.kit.service import Answer, RequestContext
from services.query import blocked, workspaces
from services.query.resources import Resources


async def workspace_get(resources: Resources, request: WorkspaceGet, context: RequestContext) -> WorkspaceSettings:
    """Return the workspace's settings; defaults where none were ever written."""
    return await workspaces.get(resources.postgres, context.workspace)


async def workspace_put(resources: Resources, request: WorkspaceSettings, context: RequestContext) -> Answer:
    """Replace the workspace's settings and drop the cached answers that took the old ones for granted.

    Raises:
        InvalidRequest: something in them cannot be; names the field.
        Unavailable: one of the stores; asking again completes what was left half done.
    """
    workspaces.check(context.workspace, request)
    await resources.schema.passed()
    cluster = resources.settings.clickhouse_cluster
    await blocked.put(resources.clickhouse, context.workspace, request.blocked_ids, cluster=cluster)
    await workspaces.put(resources.postgres, context.workspace, request, context.principal)
    settings = await workspaces.get(resources.postgres, context.workspace)
    return Answer(encode(settings), drop=CacheDrop(workspace_id=context.workspace, tags=("workspace",)))
