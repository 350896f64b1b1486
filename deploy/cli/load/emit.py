"""Rows into events by a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from deploy.cli.load import values
from deploy.cli.load.chunk import Chunk, Reject
from deploy.cli.load.coded import Coded, distinct_of, replaced
from deploy.cli.load.errors import RowError
from deploy.cli.load.evaluate import evaluate, truth
from deploy.cli.load.expression import Node
from deploy.cli.load.groups import Groups, is_overfull
from deploy.cli.load.memo import each, kinds_of
from deploy.cli.load.native import json_bytes
from deploy.cli.load.nulls import null_paths
from deploy.cli.load.piece import JsonPaths, JsonTexts, Piece, plain_values
from deploy.cli.load.plan import EventPlan, ObjectPlan, Plan
from deploy.cli.load.sift import sift


class Emitter:
    """Makes pieces of chunks. `prefix` begins the message ids of rows that bring none; `received` is the time of the
    load, in milliseconds since 1970."""

    def __init__(self, plan: Plan, prefix: str, received: int) -> None:
        self._plan = plan
        self._prefix = prefix
        self._received = received
        self._groups = [None if event.grouping is None else Groups(event.grouping) for event in plan.events]
        self.brings_ids = any(event.message_id is not None for event in plan.events)
        """Whether message ids come from the file, which may then hold one twice."""
        self.skipped = 0
        """Rows the mapping says to skip."""

    def rows(self, chunk: Chunk) -> Iterator[Piece | Reject]:
        """Yield the events of rows, and the rows that are none; groups keep what they need and come with `end`."""
        for built in sift(chunk, self._build):
            if isinstance(built, Reject):
                yield built
                continue
            pieces, absorb, skipped = built
            self.skipped += skipped
            for groups, part, keys, slots in absorb:
                groups.add(part, keys, slots)
            yield from pieces

    def end(self) -> Iterator[Piece | Reject]:
        """Yield the events of all groups."""
        for event, groups in zip(self._plan.events, self._groups, strict=True):
            if groups is not None:
                for chunk in groups.finish():
                    yield from sift(chunk, partial(self._piece, event))

    def close(self) -> None:
        """Drop what groups keep on disk."""
        for groups in self._groups:
            if groups is not None:
                groups.close()

    def _build(self, chunk: Chunk) -> tuple[list[Piece], list[tuple[Groups, Chunk, Any, Any]], int]:
        """Compute everything a row is needed for before anything is kept of it: a row is taken whole or rejected."""
        size = len(chunk)
        if self._plan.skip is not None:
            chunk = chunk.take([not truth(value) for value in self._evaluate(self._plan.skip, chunk)])
        pieces, absorb = [], []
        for event, groups in zip(self._plan.events, self._groups, strict=True):
            part = chunk
            if event.when is not None:
                part = chunk.take([truth(value) for value in self._evaluate(event.when, chunk)])
            if not len(part):
                continue
            if groups is None or event.grouping is None:
                pieces.append(self._piece(event, part))
            else:
                keys = self._evaluate(event.grouping.key, part)
                slots = [self._evaluate(slot.argument, part) for slot in event.grouping.slots]
                absorb.append((groups, part, keys, groups.prepare(slots)))
        return pieces, absorb, size - len(chunk)

    def _evaluate(self, node: Node, chunk: Chunk) -> Sequence[Any]:
        converts = self._plan.converts
        # Its text tells 1 from true, which are equal.
        return chunk.computed(
            repr(node), lambda: evaluate(node, lambda name: chunk.column(name, converts.get(name)), len(chunk))
        )

    def _piece(self, event: EventPlan, chunk: Chunk) -> Piece:
        compute = partial(self._evaluate, chunk=chunk)
        users = _identifiers(compute(event.user_id))
        anonymous = _identifiers(compute(event.anonymous_id))
        if "" in users and ("", "") in zip(users, anonymous, strict=True):
            raise RowError("neither a user id nor an anonymous id")
        names = {column: _identifiers(compute(node)) for column, node in event.names.items()}
        for column in ("event", "group_id"):
            if column in names and not all(names[column]):
                raise RowError(f"no {column}")
        objects = {column: self._object(plan, chunk) for column, plan in event.objects.items()}
        return Piece(
            table=event.table,
            rows=chunk.rows,
            lines=chunk.lines,
            sources=chunk.sources,
            message_ids=self._message_ids(event, chunk),
            user_ids=users,
            anonymous_ids=anonymous,
            times=self._times(compute(event.timestamp)),
            received=self._received_times(event, chunk),
            names=names,
            objects=objects,
            nulls=_nulls(objects.get("traits")),
        )

    def _message_ids(self, event: EventPlan, chunk: Chunk) -> Sequence[str]:
        made = f"{self._prefix}:"
        if event.message_id is None:
            return [f"{made}{row}{event.suffix}" for row in chunk.rows]
        # An id that the whole row brings is told apart for each of its events.
        suffix = "" if event.own_message_id else event.suffix
        return [
            f"{given}{suffix}" if given else f"{made}{row}{event.suffix}"
            for given, row in zip(_identifiers(self._evaluate(event.message_id, chunk)), chunk.rows, strict=True)
        ]

    def _times(self, column: Sequence[Any]) -> Sequence[int]:
        zone, pattern = self._plan.zone, self._plan.timestamp_format
        try:
            return each(lambda value: values.instant(value, zone, pattern), column)
        except RowError as error:
            raise RowError(str(error) if "timestamp" in str(error) else f"timestamp: {error}") from error

    def _received_times(self, event: EventPlan, chunk: Chunk) -> Sequence[int]:
        if event.received_at is None:
            return Coded((self._received,), bytes(len(chunk)))
        given = self._evaluate(event.received_at, chunk)
        zone, pattern = self._plan.zone, self._plan.timestamp_format
        return each(lambda value: self._received if value is None else values.instant(value, zone, pattern), given)

    def _object(self, plan: ObjectPlan, chunk: Chunk) -> JsonPaths | JsonTexts:
        paths = {path: plain_values(self._evaluate(node, chunk)) for path, node in plan.fields.items()}
        lists = (column for column in paths.values() if list in kinds_of(column))
        if any(map(is_overfull, chain.from_iterable(lists))):
            raise RowError("a list() has too many elements")
        if not plan.star:
            return paths
        assert chunk.objects is not None
        converts = self._plan.converts
        rows = []
        for i, row in enumerate(chunk.objects):
            found = {
                key: converts[key](value) if key in converts and value is not None else value
                for key, value in row.items()
                if key not in plan.used and key not in paths
            }
            found.update({path: column[i] for path, column in paths.items() if column[i] is not None})
            rows.append(json_bytes(found))
        return rows


def _nulls(traits: JsonPaths | JsonTexts | None) -> list[Sequence[str]] | None:
    """Nulls are values only in rows taken as they are; an expression without a value is no null."""
    return None if traits is None or isinstance(traits, Mapping) else list(map(null_paths, traits))


def _identifiers(column: Sequence[Any]) -> Sequence[str]:
    if kinds_of(column) <= {str}:
        texts = replaced(column, [value or "" for value in distinct_of(column)]) if None in column else column
        if max(map(len, distinct_of(texts))) <= values.MAX_ID_LENGTH:
            return texts
    return each(values.identifier, column)
