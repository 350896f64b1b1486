"""From an HTTP request to what it asks: headers, body and parameters, each checked once."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from itertools import count
from typing import Any

import msgspec
from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import inspect

from contracts.base import decode, decode_request, encode, invalid
from contracts.errors import FieldError, InvalidRequest, TooLarge, UnsupportedMediaType
from contracts.operation import Operation
from contracts.versioned import IF_MATCH
from gateway.etags import versions
from gateway.negotiation import is_json

WORKSPACE = "X-Workspace-Id"
REQUEST_ID = "X-Request-Id"
_REQUEST_ID_LENGTH = 128
_REQUEST_ID_SYMBOLS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:=+/@")


_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestIds:
    """Ids for requests that bring none: a random part of this process and a number, unique without asking the kernel
    for randomness at each request. Make it after a fork."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self._numbers = count()

    def of(self, given: str | None) -> str:
        """Return the client's id when it is short and plain enough for logs and headers, else a new one."""
        if given and len(given) <= _REQUEST_ID_LENGTH and _REQUEST_ID_SYMBOLS.issuperset(given):
            return given
        return f"{self._process}{next(self._numbers):08x}"


@lru_cache(4_096)
def workspace(given: str | None) -> str:
    """Return the workspace's UUID in its usual spelling.

    Raises:
        InvalidRequest: the header is missing or no UUID.
    """
    if given is None:
        raise InvalidRequest(f"the header {WORKSPACE} is missing: it names the workspace, a UUID")
    try:
        # uuid.UUID also takes braces and urn:uuid:, which other parts of the platform do not.
        if len(given) != 36:
            raise ValueError
        return str(uuid.UUID(given))
    except ValueError:
        raise InvalidRequest(f"the header {WORKSPACE} must be a UUID, like {uuid.UUID(int=1)}") from None


async def read_body(request: web.BaseRequest, limit: int, seconds: float, *, optional: bool = False) -> bytes:
    """Return the body of a request that has one, which may take `seconds` to arrive. Where it is `optional`, none at
    all is an empty one.

    Raises:
        UnsupportedMediaType: it is not declared as JSON.
        TooLarge: it is over `limit` bytes.
        InvalidRequest: its content or transfer coding is broken, or it does not come to its end.
    """
    if optional and not request.can_read_body:
        return b""
    if not is_json(request.headers.get("Content-Type")):
        raise UnsupportedMediaType("send the request as application/json, in UTF-8")
    length = request.content_length
    if length is not None and length > limit:
        raise TooLarge(f"the body is over {limit} bytes")
    try:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(_CONTINUE)
        if request.content.is_eof():
            return await request.read()
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise InvalidRequest(f"the body did not arrive in {seconds:g} seconds") from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(f"the body is over {limit} bytes") from None
    except (web.RequestPayloadError, ClientError, HttpProcessingError) as error:
        raise InvalidRequest("the body's content or transfer coding is broken") from error


def decode_parameters(
    operation: Operation, path: Mapping[str, str], query: Iterable[tuple[str, str]], if_match: str | None = None
) -> Any:
    """Return the request that path and query parameters spell (their values are text: numbers and booleans too), and
    the header `if_match`, for an operation that takes one. A parameter that is a list is given once for each element.

    Raises:
        InvalidRequest: a parameter is unknown, repeated, or not of its type.
    """
    members: dict[str, Any] = {}
    lists = _lists(operation.request)
    given = [*path.items(), *query]
    counted = Counter(name for name, _ in given)
    repeated = [name for name, times in counted.items() if times > 1 and name not in lists]
    if repeated:
        errors = tuple(FieldError(pointer=f"/{name}", message="given more than once") for name in repeated)
        raise InvalidRequest("the request is not valid", errors=errors)
    for name, value in given:
        if name in lists and (counted[name] > 1 or not lists[name]):
            members.setdefault(name, []).append(value)
        else:
            members[name] = value
    if operation.conditional:
        _refuse(members, (IF_MATCH,))
        members[IF_MATCH] = versions(if_match)
    try:
        return msgspec.convert(members, operation.request, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from error


@cache
def _lists(request: Any) -> Mapping[str, bool]:
    """Return the fields of a request that may be lists, and whether they may be a single value as well."""
    found = {}
    for field in msgspec.structs.fields(request):
        kind = _bare(inspect.type_info(field.type))
        kinds = [_bare(one) for one in getattr(kind, "types", (kind,)) if not isinstance(one, inspect.NoneType)]
        if any(isinstance(one, inspect.VarTupleType) for one in kinds):
            found[field.encode_name] = len(kinds) > 1
    return found


def _bare(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def decode_body(operation: Operation, path: Mapping[str, str], if_match: str | None, body: bytes) -> Any:
    """Return the request that a body spells together with the path's parameters and the header `if_match`.

    Raises:
        InvalidRequest: as `contracts.base.decode_request`; or the body says what belongs elsewhere.
    """
    if not path and not operation.conditional:
        return decode_request(body, operation.request)
    members = decode_request(body or b"{}", dict[str, msgspec.Raw])
    elsewhere = {name: _typed(operation, name, text) for name, text in path.items()}
    if operation.conditional:
        elsewhere[IF_MATCH] = versions(if_match)
    _refuse(members, elsewhere)
    members |= {name: msgspec.Raw(encode(value)) for name, value in elsewhere.items()}
    return decode(encode(members), operation.request)


def _typed(operation: Operation, name: str, text: str) -> Any:
    types = {field.encode_name: field.type for field in msgspec.structs.fields(operation.request)}
    try:
        return msgspec.convert(text, types[name], strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest.at(f"/{name}", str(error)) from error


def _refuse(members: Mapping[str, Any], elsewhere: Iterable[str]) -> None:
    errors = tuple(
        FieldError(pointer=f"/{name}", message=f"is said by {'If-Match' if name == IF_MATCH else 'the path'} alone")
        for name in elsewhere
        if name in members
    )
    if errors:
        raise InvalidRequest("the request is not valid", errors=errors)
