"""Opaque page cursors: a version, the request they belong to, its clock, and the key of the last row."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

from contracts.base import Message, encode
from contracts.common import TableName, TimeZone
from contracts.errors import InvalidRequest

VERSION = 1
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-2_208_988_800_000, le=10_413_791_999_999)]
"""Since the epoch, within what DateTime64(3) holds: 1900 to 2299."""
Microseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-2_208_988_800_000_000, le=10_413_791_999_999_999)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RowKey(msgspec.Struct, frozen=True, array_like=True):
    """Where a row stands in the total order of events: (timestamp, message_id, table)."""

    timestamp: Milliseconds
    """Milliseconds since the epoch."""
    message_id: str
    table: TableName


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """`as_of` and `timezone` go with the cursor, so that the range means the same on every page, whatever becomes of
    the workspace's settings meanwhile."""

    version: int
    request: str
    as_of: Microseconds
    last: RowKey | int | str
    """A row of events, or the key of one of the actors counted."""
    timezone: TimeZone


_decoder = msgspec.json.Decoder(Cursor)


def fingerprint(workspace: UUID, request: Message) -> str:
    """Return what a cursor is bound to: the workspace and the request, but for its `cursor` and `limit`."""
    canonical = encode(msgspec.structs.replace(request, cursor=None, limit=1))
    return hashlib.blake2b(workspace.bytes + canonical, digest_size=9).hexdigest()


def write(workspace: UUID, request: Message, last: RowKey | int | str, *, as_of: datetime, timezone: str) -> str:
    """Return the cursor of the page after `last`."""
    clock = (as_of - _EPOCH) // timedelta(microseconds=1)
    cursor = Cursor(VERSION, fingerprint(workspace, request), clock, last, timezone)
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def read(workspace: UUID, request: Message, text: str) -> Cursor:
    """Read a cursor.

    Raises:
        InvalidRequest: not a cursor, of another version, or of another request.
    """
    try:
        cursor = _decoder.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise InvalidRequest.at("/cursor", "not a cursor: send `next_cursor` of the page before, unchanged") from error
    if cursor.version != VERSION or cursor.request != fingerprint(workspace, request):
        raise InvalidRequest.at("/cursor", "the cursor belongs to another request: start again without it")
    return cursor


def row_key(cursor: Cursor) -> RowKey:
    """Return the row a cursor of events stands at.

    Raises:
        InvalidRequest: it stands at something else.
    """
    if not isinstance(cursor.last, RowKey):
        raise InvalidRequest.at("/cursor", "not a cursor of events")
    return cursor.last


def clock(cursor: Cursor) -> datetime:
    """Return the as_of the cursor was made with."""
    return _EPOCH + timedelta(microseconds=cursor.as_of)
