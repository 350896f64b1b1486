"""The operation `profile.access`: everything that is kept of one person, as a stream of lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from contracts.base import encode
from contracts.operation import MEDIA_TYPES
from contracts.privacy import ProfileAccess
from contracts.profile_merges import MergesList
from contracts.profile_reads import ProfileEvents, ProfileIdentities
from contracts.profiles import Profile
from services.kit.service import RequestContext, Stream
from services.profile.merging.listing import merges
from services.profile.profile import one
from services.profile.resources import Resources
from services.profile.timeline.events import events
from services.profile.timeline.identities import identities

_PAGE: Final = 1_000


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    next_cursor: str | None


_page: Final = msgspec.json.Decoder(_Page)


async def access(resources: Resources, request: ProfileAccess, context: RequestContext) -> Stream:
    """Answer `profile.access`: lines of one profile, then its ids, its merges, its events, the oldest first.

    Raises:
        InvalidRequest, NotFound, Conflict: as `services.profile.profile.get`.
    """
    profile = await one(resources, context.workspace, request.id)
    return Stream(_lines(resources, profile, context), content_type=MEDIA_TYPES[context.format])


async def _lines(resources: Resources, profile: Profile, context: RequestContext) -> AsyncIterator[bytes]:
    yield _line("profile", profile)
    id_ = str(profile.id)
    named = await identities(resources, ProfileIdentities(id=id_), context)
    yield b"".join(_line("identity", each) for each in named.data)
    cursor = None
    while True:
        joined = await merges(resources, MergesList(id=id_, cursor=cursor), context)
        yield b"".join(_line("merge", each) for each in joined.data)
        if (cursor := joined.next_cursor) is None:
            break
    while True:
        asked = ProfileEvents(id=id_, order="oldest", limit=_PAGE, cursor=cursor)
        page = _page.decode((await events(resources, asked, context)).body)
        yield b"".join(_line("event", each) for each in page.data)
        if (cursor := page.next_cursor) is None:
            return


def _line(kind: str, value: Any) -> bytes:
    return b'{"kind":"%b","%b":%b}\n' % (kind.encode(), kind.encode(), encode(value))
