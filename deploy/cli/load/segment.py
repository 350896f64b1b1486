"""Segment's call format, one call a line: understood without a mapping (segment.com/docs/connections/spec)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from functools import partial
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from contracts.common import TABLES, TableName
from deploy.cli.load import values
from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.errors import RowError
from deploy.cli.load.nulls import null_paths
from deploy.cli.load.piece import Piece
from deploy.cli.load.plan import JSON_COLUMN, NAME_COLUMN
from deploy.cli.load.sift import sift

Text = str | int | float | None
_EMPTY: Final = b"{}"
_FIELD: Final = {"track": "event", "page": "name", "group": "groupId"}


class Call(msgspec.Struct, frozen=True, gc=False):
    """The fields of a call that are stored; the others (integrations, version, …) are not read."""

    type: Literal["track", "identify", "page", "group"]
    messageId: Text = None
    userId: Text = None
    anonymousId: Text = None
    timestamp: Text = None
    originalTimestamp: Text = None
    receivedAt: Text = None
    event: Text = None
    name: Text = None
    groupId: Text = None
    properties: Raw | UnsetType = UNSET
    traits: Raw | UnsetType = UNSET
    context: Raw | UnsetType = UNSET


class SegmentEmitter:
    """Makes pieces of chunks of calls; see emit.Emitter for the arguments. Times without an offset are UTC."""

    def __init__(self, prefix: str, received: int) -> None:
        self._prefix = prefix
        self._received = received
        self.brings_ids = True
        self.skipped = 0

    def rows(self, chunk: Chunk) -> Iterator[Piece | Reject]:
        """Yield the events of calls, and the calls that are none."""
        for built in sift(chunk, self._build):
            yield from (built,) if isinstance(built, Reject) else built

    def end(self) -> Iterator[Piece | Reject]:
        """Yield nothing: each call stands for itself."""
        yield from ()

    def close(self) -> None:
        """Nothing is held."""

    def _build(self, chunk: Chunk) -> list[Piece]:
        calls: Sequence[Call] = chunk.objects or ()
        types = [call.type for call in calls]
        if len(set(types)) == 1:
            return [self._piece(types[0], chunk)]
        parts = ((table, [kind == table for kind in types]) for table in TABLES)
        return [self._piece(table, chunk.take(keep)) for table, keep in parts if any(keep)]

    def _piece(self, table: TableName, chunk: Chunk) -> Piece:
        calls: Sequence[Call] = chunk.objects or ()
        users = [values.identifier(call.userId) for call in calls]
        anonymous = [values.identifier(call.anonymousId) for call in calls]
        if not all(user or other for user, other in zip(users, anonymous, strict=True)):
            raise RowError("neither userId nor anonymousId")
        names = {}
        if table in NAME_COLUMN:
            column, key = NAME_COLUMN[table], _FIELD[table]
            names[column] = [values.identifier(getattr(call, key)) for call in calls]
            if table != "page" and not all(names[column]):
                raise RowError(f"no {key}")
        json_column = JSON_COLUMN[table]
        objects = {json_column: _objects(json_column, [getattr(call, json_column) for call in calls])}
        context = _objects("context", [call.context for call in calls])
        if set(context) != {_EMPTY}:
            objects["context"] = context
        return Piece(
            table=table,
            rows=chunk.rows,
            lines=chunk.lines,
            sources=chunk.sources,
            message_ids=[
                values.identifier(call.messageId) or f"{self._prefix}:{row}"
                for call, row in zip(calls, chunk.rows, strict=True)
            ],
            user_ids=users,
            anonymous_ids=anonymous,
            times=[_time("timestamp", call.timestamp or call.originalTimestamp or call.receivedAt) for call in calls],
            received=[
                self._received if call.receivedAt in (None, "") else _time("receivedAt", call.receivedAt)
                for call in calls
            ],
            names=names,
            objects=objects,
            nulls=list(map(null_paths, objects["traits"])) if json_column == "traits" else None,
        )


_instant = partial(values.instant, zone=UTC, pattern="")


def _time(field: str, value: Text) -> int:
    try:
        return _instant(value)
    except RowError as error:
        raise RowError(str(error) if "timestamp" in str(error) else f"{field}: {error}") from error


def _objects(field: str, found: Sequence[Raw | UnsetType]) -> list[bytes]:
    texts = [_EMPTY if value is UNSET else bytes(value) for value in found]
    for i, text in enumerate(texts):
        if not text.startswith(b"{"):
            if text != b"null":
                raise RowError(f"{field} is not an object")
            texts[i] = _EMPTY
    return texts


def looks_like_calls(row: Any) -> bool:
    """Whether a row of an NDJSON file without a mapping is such a call."""
    return (
        isinstance(row, dict)
        and row.get("type") in (*TABLES, "screen", "alias")
        and ("userId" in row or "anonymousId" in row)
    )
