"""The operation `query.queries_run`: a saved definition, asked as its analysis is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from contracts.errors import InvalidRequest, NotAcceptable
from contracts.operation import Operation
from contracts.queries import QueryRun
from services.kit.service import Answer, RequestContext, Stream
from services.query.analysis.nested import under
from services.query.resources import Resources
from services.query.saved import store
from services.query.saved.kinds import analysis, request_of

Handlers: TypeAlias = Mapping[str, Callable[[Resources, Any, RequestContext], Awaitable[Any]]]
"""The service's handlers, by the operation's name."""


_MISSING: Final = {
    "cursor": "has no pages",
    "parameters": "has no parameters: leave them out",
    "query_id": "is not followed by an id: leave it out",
}
_NO_RANGE: Final = "takes no range: name times in the statement, as parameters perhaps"


def cache_tag(id: UUID) -> str:
    """Return the tag of answers computed from a saved query."""
    return f"query:{id}"


async def queries_run(
    handlers: Handlers, resources: Resources, request: QueryRun, context: RequestContext
) -> Answer | Stream:
    """Answer what the saved definition asks, with what the request says in its place.

    Raises:
        NotFound: there is no such query.
        NotAcceptable: its analysis has no such format.
        InvalidRequest: the definition cannot be answered (pointers lead into `/definition`), or not with this request.
        CdpError: as the analysis.
    """
    saved = await store.get(resources.postgres, context.workspace, request.id)
    operation = analysis(saved.kind)
    if context.format not in operation.formats:
        raise NotAcceptable(f"{saved.kind} is answered as {', '.join(operation.formats)}")
    said = _said(request, operation, saved.definition)
    with under("/definition", but=said):
        asked = request_of(operation, {**saved.definition, **said})
        result: Answer | Stream = await handlers[saved.kind](resources, asked, context)
    if isinstance(result, Answer) and result.cache is not None:
        tags = (*result.cache.tags, cache_tag(saved.id))
        return msgspec.structs.replace(result, cache=msgspec.structs.replace(result.cache, tags=tags))
    return result


def _said(request: QueryRun, operation: Operation, definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members the request says itself, by their names in the analysis' request."""
    said = {
        field.encode_name: value
        for field in msgspec.structs.fields(request)
        if field.name != "id" and (value := getattr(request, field.name)) is not msgspec.UNSET
    }
    known = {field.encode_name for field in msgspec.structs.fields(operation.request)}
    for member in said:
        if member not in known:
            raise InvalidRequest.at(f"/{member}", f"{operation.name} {_MISSING.get(member, _NO_RANGE)}")
    if "parameters" in said:
        said["parameters"] = {**definition.get("parameters", {}), **said["parameters"]}
    return said
