"""The actors of a list before they are kept: every page of an operation that lists actors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import msgspec

from contracts.analysis import ActorsPage
from contracts.base import decode
from contracts.errors import InvalidRequest
from contracts.lists import ListSource
from contracts.operation import Operation
from contracts.operations import OPERATIONS
from services.kit.service import Answer, RequestContext
from services.query.analysis.nested import under
from services.query.resources import Resources
from services.query.saved.kinds import request_of
from services.query.saved.run import Handlers

SOURCES: Final[Mapping[str, Operation]] = {
    operation.id: operation
    for operation in OPERATIONS
    if operation.response is ActorsPage and operation.path.startswith("/query/")
}
"""Operations that list the actors behind a number, by id."""
_PAGE: Final = 50_000
"""Actors asked for at once. Each page selects all of them anew, so larger ones save time; this many take some 30 MB."""
_OF_ACTORS: Final = ("actor", "user_id")
"""Values of `analyse_by` by which actors are counted."""
_REQUEST: Final = "/source/request"


def request_for(source: ListSource) -> Any:
    """Return the request that lists the source's actors.

    Raises:
        InvalidRequest: no such operation, no request of it, or one whose list is not of actors.
    """
    operation = SOURCES.get(source.operation)
    if operation is None:
        raise InvalidRequest.at("/source/operation", f"must be one of {', '.join(sorted(SOURCES))}")
    for member in ("limit", "cursor"):
        if member in source.request:
            raise InvalidRequest.at(f"{_REQUEST}/{member}", "a list has all actors: leave it out")
    with under(_REQUEST):
        request = request_of(operation, source.request)
    if request.query.analyse_by not in _OF_ACTORS:
        raise _not_of_actors()
    return request


async def pages(
    handlers: Handlers, resources: Resources, source: ListSource, request: Any, context: RequestContext
) -> AsyncGenerator[ActorsPage, None]:
    """Yield the pages of a list, all as of the same time.

    Raises:
        InvalidRequest: the request cannot be answered; pointers lead into `/source/request`.
        CdpError: as the operation.
    """
    handler = handlers[SOURCES[source.operation].name]
    cursor = None
    while True:
        asked = msgspec.structs.replace(request, limit=_PAGE, cursor=cursor)
        with under(_REQUEST):
            answer = await handler(resources, asked, context)
        page: ActorsPage = decode(answer.body, ActorsPage) if isinstance(answer, Answer) else answer
        if any(listed.actor is None for listed in page.data):
            raise _not_of_actors()
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def _not_of_actors() -> InvalidRequest:
    return InvalidRequest.at(f"{_REQUEST}/query/analyse_by", f"must be {' or '.join(_OF_ACTORS)}: a list is of actors")
