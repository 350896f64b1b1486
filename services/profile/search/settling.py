"""What a request for profiles means once its clock and time zone are settled."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.profile_search import ProfileSearch, ProfilesExport
from services.kit import cursor, times
from services.kit.cursor import Cursor
from services.kit.predicates.checks import check_limits
from services.kit.service import RequestContext
from services.profile.resources import Resources
from services.profile.search import text
from services.profile.search.compiler import Clock
from services.profile.search.statements import Filter


async def filter_of(
    resources: Resources, request: ProfileSearch | ProfilesExport, context: RequestContext, page: Cursor | None = None
) -> Filter:
    """Return which profiles a request means; the clock of the `page` before holds for all pages.

    Raises:
        InvalidRequest: a time that is none, or a predicate that is too large; names the field.
    """
    if request.where is not None:
        check_limits(request.where, "/where")
    return Filter(
        workspace=context.workspace,
        where=request.where,
        text=request.text,
        traits=text.traits_of(resources.settings.profiles_search_traits),
        clock=await _clock(resources, request, context, page),
    )


def seconds_of(resources: Resources, context: RequestContext) -> float:
    """Return the seconds a statement of a request may take."""
    return min(resources.settings.profiles_search_seconds, context.remaining())


async def _clock(
    resources: Resources, request: ProfileSearch | ProfilesExport, context: RequestContext, page: Cursor | None
) -> Clock:
    settled = times.settle(
        await resources.workspaces.get(context.workspace),
        timezone=request.timezone,
        as_of=request.as_of,
        now=datetime.now(UTC),
        passed_on=context.now,
        fixed=None if page is None else (cursor.clock(page), page.timezone),
    )
    return Clock(settled.as_of, settled.timezone)
