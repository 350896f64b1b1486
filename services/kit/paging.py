"""Where a page of listed things ends: the key they are sorted by, then the id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from contracts.base import Message
from contracts.errors import InvalidRequest
from services.kit import cursor

_ID: Final = 36
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST: Final = (datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


class Place(NamedTuple):
    """The last thing of a page: the time or name it is sorted by, and its id."""

    key: datetime | str
    id: UUID


def write(workspace: UUID, request: Message, last: Place | int) -> str:
    """Return the cursor of the page after `last`: a place, or a number in its series."""
    if isinstance(last, Place):
        key = last.key if isinstance(last.key, str) else str((last.key - _EPOCH) // timedelta(microseconds=1))
        return _write(workspace, request, f"{last.id}{key}")
    return _write(workspace, request, last)


def read_place(workspace: UUID, request: Message, text: str | None, *, by_name: bool) -> Place | None:
    """Read a cursor that stands at a place; None for the first page.

    Raises:
        InvalidRequest: no cursor of this request.
    """
    if text is None:
        return None
    last = cursor.read(workspace, request, text).last
    try:
        if not isinstance(last, str) or "\0" in last:
            raise ValueError
        id_, key = UUID(last[:_ID]), last[_ID:]
        return Place(key if by_name else _time(key), id_)
    except ValueError:
        raise InvalidRequest.at("/cursor", "not a cursor of this list") from None


def read_number(workspace: UUID, request: Message, text: str | None) -> int | None:
    """Read a cursor that stands at a number; None for the first page.

    Raises:
        InvalidRequest: no cursor of this request.
    """
    if text is None:
        return None
    last = cursor.read(workspace, request, text).last
    if not isinstance(last, int) or not 0 <= last < 2**31:
        raise InvalidRequest.at("/cursor", "not a cursor of this list")
    return last


def _time(key: str) -> datetime:
    microseconds = int(key)
    if not 0 <= microseconds <= _MOST:
        raise ValueError
    return _EPOCH + timedelta(microseconds=microseconds)


def _write(workspace: UUID, request: Message, last: str | int) -> str:
    return cursor.write(workspace, request, last, as_of=datetime.now(UTC), timezone="UTC")
