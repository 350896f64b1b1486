"""From a NATS message to a request and its context: everything here is the caller's, so nothing is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args
from uuid import UUID, uuid4

import msgspec
from faststream.message import StreamMessage
from faststream.nats import NatsMessage
from nats.aio.msg import Msg

from contracts import headers as names
from contracts.base import decode_request
from contracts.errors import CdpError, FieldError, InvalidRequest, NotAcceptable
from contracts.operation import Format, Operation
from services.kit import timerange
from services.kit.service_types import RequestContext
from services.kit.settings import Settings

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_FORMATS = frozenset(get_args(Format))
_LONGEST_PRINCIPAL = 256


class Received(msgspec.Struct, frozen=True):
    """A message as the codec leaves it: decoded, or with the error that says why not."""

    headers: Mapping[str, str]
    inbox: str
    request_id: str
    request: Any
    error: CdpError | None


class RequestCodec:
    """FastStream codec of one operation: one strict pass from the bytes to the request struct.

    FastStream's own msgspec serializer decodes twice and coerces ("7" for 7). An error is kept, not raised: FastStream
    sends no reply for what a codec raises.
    """

    def __init__(self, operation: Operation):
        self._type = operation.request

    async def parse(self, msg: Msg) -> StreamMessage[Msg]:
        """Wrap the message for FastStream; its correlation id is our request id (its own parser makes two UUIDs and
        matches the subject against a pattern for every message)."""
        headers = msg.headers or {}
        request_id = request_id_of(headers)
        return NatsMessage(
            raw_message=msg,
            body=msg.data,
            headers=headers,
            reply_to=msg.reply,
            path={},
            correlation_id=request_id,
            message_id=request_id,
        )

    async def decode(self, msg: StreamMessage[Any]) -> Any:
        """Return the message as `Received`; an empty body counts as ``{}``."""
        try:
            request = decode_request(msg.body or b"{}", self._type)
        except InvalidRequest as error:
            return Received(msg.headers, msg.reply_to, msg.correlation_id, None, error)
        return Received(msg.headers, msg.reply_to, msg.correlation_id, request, None)

    async def encode(self, msg: Any, serializer: object = None) -> tuple[bytes, str | None]:
        """Pass bytes through; replies do not come this way (see `service_calls`)."""
        return bytes(msg), None


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the caller's request id, a fresh one when it has none or an unprintable or overlong one."""
    given = headers.get(names.REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def context_of(
    headers: Mapping[str, str], operation: Operation, settings: Settings, request_id: str, now: float
) -> RequestContext:
    """Read the headers. `now` is the loop time at which the message arrived.

    Raises:
        InvalidRequest: a header is missing or malformed; its message names it.
        NotAcceptable: the operation has no such format.
    """
    stream = headers.get(names.STREAM) == "1"
    format_ = headers.get(names.ACCEPT, operation.formats[0])
    if format_ not in _FORMATS or format_ not in operation.formats:
        raise NotAcceptable(f"{names.ACCEPT}: {operation.id} answers in {', '.join(operation.formats)}")
    longest = settings.stream_timeout_seconds if stream else settings.request_timeout_seconds
    return RequestContext(
        workspace=_workspace(headers),
        request_id=request_id,
        principal=_principal(headers),
        deadline=now + min(_timeout(headers, settings.request_timeout_seconds), longest),
        now=_now(headers),
        format=format_,
        stream=stream,
    )


def _workspace(headers: Mapping[str, str]) -> UUID:
    try:
        return UUID(headers[names.WORKSPACE])
    except KeyError:
        raise _bad(names.WORKSPACE, "is missing: the UUID of a workspace") from None
    except ValueError:
        raise _bad(names.WORKSPACE, "is not a UUID") from None


def _principal(headers: Mapping[str, str]) -> str:
    text = headers.get(names.PRINCIPAL, "")
    if len(text) > _LONGEST_PRINCIPAL or not text.isprintable():
        raise _bad(names.PRINCIPAL, f"is not text of at most {_LONGEST_PRINCIPAL} printable characters")
    return text


def _timeout(headers: Mapping[str, str], default: float) -> float:
    text = headers.get(names.TIMEOUT)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise _bad(names.TIMEOUT, "is not a whole number of milliseconds")
    return int(text) / 1000


def _now(headers: Mapping[str, str]) -> datetime | None:
    text = headers.get(names.NOW)
    if text is None:
        return None
    try:
        return timerange.check_instant(datetime.fromisoformat(text), "")
    except (ValueError, InvalidRequest):
        raise _bad(names.NOW, "is not an ISO 8601 time of the years 1900 to 2299") from None


def _bad(header: str, message: str) -> InvalidRequest:
    text = f"header {header} {message}"
    return InvalidRequest(text, errors=(FieldError(message=text),))
