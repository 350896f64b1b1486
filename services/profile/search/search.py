"""The operation `profile.search`."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.base import encode
from contracts.caching import CachePolicy
from contracts.errors import LimitExceeded
from contracts.profile_search import ProfileSearch
from services.kit import cursor
from services.kit.service import Answer, RequestContext
from services.profile.resources import Resources
from services.profile.search import finding
from services.profile.search.order import foreign, key_of, order_of, read_key
from services.profile.search.parameters import Parameters
from services.profile.search.rows import Shape, json_line
from services.profile.search.session import explained
from services.profile.search.settling import filter_of, seconds_of
from services.profile.search.statements import Statements

CHANGED: Final = "profiles"
"""The tag of answers that a change of any profile of the workspace may make wrong."""
PAGE_BYTES: Final = 32 * 1024 * 1024
"""Traits of the profiles of one answer, which is held in memory as a whole."""
_last: Final = msgspec.json.Decoder(tuple[str, int | None, bool])


async def search(resources: Resources, request: ProfileSearch, context: RequestContext) -> Answer:
    """Return a page of profiles.

    Raises:
        InvalidRequest: something in the request cannot be; names the field.
        LimitExceeded, DeadlineExceeded: it takes too long.
    """
    before = None if request.cursor is None else cursor.read(context.workspace, request, request.cursor)
    wanted = await filter_of(resources, request, context, page=before)
    shape, order = Shape(request.columns), order_of(request.sort, Parameters(), "/sort")
    after, total, exact = None, None, False
    if before is not None:
        key, total, exact = _read(before.last)
        after = read_key(order, key)
    statements = Statements(wanted, request.sort, after)
    seconds = seconds_of(resources, context)
    async with explained(context, seconds):
        page = await finding.page(resources.postgres, statements, request.limit + 1, seconds)
        if before is None and request.total != "none":
            total, exact = page.total, page.exact
            if len(page.rows) <= request.limit:
                total, exact = len(page.rows), True
            elif not exact and (total is None or request.total == "exact"):
                counted = await finding.total(resources.postgres, statements, seconds, exact=request.total == "exact")
                total, exact = max(counted[0], len(page.rows)), counted[1]
    rows, following = page.rows[: request.limit], None
    if sum(len(row["traits"]) for row in rows) > PAGE_BYTES:
        raise LimitExceeded(f"the page is over {PAGE_BYTES >> 20} MiB: ask for fewer profiles, or for an export")
    if len(page.rows) > request.limit:
        last = encode((key_of(order, rows[-1]), total, exact)).decode()
        clock = wanted.clock
        following = cursor.write(context.workspace, request, last, as_of=clock.as_of, timezone=clock.timezone)
    body = b'{"data":[%b],"total":%b,"total_exact":%b,"next_cursor":%b}' % (
        b",".join(json_line(shape.show(row)) for row in rows),
        encode(total),
        encode(exact),
        encode(following),
    )
    policy = CachePolicy(ttl=resources.settings.cache_ttl_profile_seconds, tags=(CHANGED,))
    return Answer(body, cache=policy)


def _read(last: object) -> tuple[str, int | None, bool]:
    try:
        return _last.decode(last if isinstance(last, str) else "")
    except msgspec.DecodeError:
        raise foreign() from None
