"""The operation `query.sql_history`."""

from __future__ import annotations

from contracts.sql import SqlHistoryList, SqlHistoryPage
from services.kit import paging
from services.kit.service import RequestContext
from services.query.resources import Resources
from services.query.saved.texts import check_text
from services.query.sql import history_store


async def sql_history(resources: Resources, request: SqlHistoryList, context: RequestContext) -> SqlHistoryPage:
    """Return a page of the statements that the workspace has sent, newest first.

    Raises:
        InvalidRequest: a cursor of another request.
        Unavailable: PostgreSQL does not answer.
    """
    check_text(request.search, "/search")
    after = paging.read_place(context.workspace, request, request.cursor, by_name=False)
    await resources.history.flush()
    found = await history_store.find(resources.postgres, context.workspace, request, after)
    shown, following = found[: request.limit], None
    if len(found) > request.limit:
        following = paging.write(context.workspace, request, shown[-1][0])
    return SqlHistoryPage(data=tuple(entry for _, entry in shown), next_cursor=following)
