"""Groups of rows in bounded memory: beyond a number, partial groups go to temporary files and merge at the end."""

from __future__ import annotations

import heapq
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from operator import add, itemgetter
from typing import IO, Any, Final

from deploy.cli.load import values
from deploy.cli.load.aggregates import MAX_LIST, MERGE, START, Grouping
from deploy.cli.load.chunk import Chunk
from deploy.cli.load.coded import distinct_of
from deploy.cli.load.memo import each, kinds_of, numbered
from deploy.cli.load.native import json_bytes

MAX_GROUPS: Final = 200_000
"""Groups held in memory; lists count one group for every twenty elements."""
_CHUNK: Final = 20_000

Group = tuple[str, list[Any]]
"""Key and state: first row, its line, then a value for each slot."""


class Groups:
    """The groups of one kind of event."""

    def __init__(self, grouping: Grouping, max_groups: int = MAX_GROUPS) -> None:
        self._kinds = [slot.kind for slot in grouping.slots]
        self._start = [START[kind] for kind in self._kinds]
        # A first value never changes, and is what most slots are.
        self._merge = [(i, MERGE[kind]) for i, kind in enumerate(self._kinds) if kind != "first"]
        self._max = max_groups
        self._open: dict[str, list[Any]] = {}
        self._elements = 0
        self._runs: list[IO[bytes]] = []

    def add(self, chunk: Chunk, keys: Sequence[Any], slots: Sequence[Sequence[Any]]) -> None:
        """Take rows: the key of each, and for each slot the value of its argument in its start form (see `prepare`)."""
        groups = self._open
        texts, codes = numbered(keys if kinds_of(keys) <= {str} else each(values.text, keys))
        # Of each key the first row: those before it overwrite the later ones.
        firsts = dict(zip(reversed(codes), range(len(codes) - 1, -1, -1), strict=True))
        merge = [(i + 2, function, _parts(function, codes, slots[i])) for i, function in self._merge]
        for code, first in sorted(firsts.items(), key=itemgetter(1)):
            key = texts[code]
            if not key:
                continue
            state = groups.get(key)
            if state is None:
                state = groups[key] = [chunk.rows[first], chunk.lines[first], *(column[first] for column in slots)]
                for position, _, parts in merge:
                    state[position] = parts[code]
            else:
                for position, function, parts in merge:
                    state[position] = function(state[position], parts[code])
        if "list" in self._kinds:
            self._elements += len(chunk)
        if len(groups) + self._elements // 20 > self._max:
            self._spill()

    def prepare(self, slots: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return the start form of each slot's values; all errors of a row are raised here, before `add`."""
        return [
            column
            if kind in ("first", "last", "min", "max") or (kind == "sum" and kinds_of(column) <= {int, Decimal})
            else (list(map(start, column)) if kind == "list" else each(start, column))
            for kind, start, column in zip(self._kinds, self._start, slots, strict=True)
        ]

    def finish(self) -> Iterator[Chunk]:
        """Yield the groups as rows with columns #0, #1, …; those of a file without a spill in order of appearance."""
        groups = self._merged() if self._runs else iter(self._open.items())
        while part := list(islice(groups, _CHUNK)):
            states = [state for _, state in part]
            columns = {f"#{i}": [state[i + 2] for state in states] for i in range(len(self._kinds))}
            yield Chunk(
                rows=[state[0] for state in states],
                lines=[state[1] for state in states],
                sources=[json_bytes({"group": key}) for key, _ in part],
                columns=columns,
            )

    def close(self) -> None:
        """Drop the temporary files."""
        for run in self._runs:
            run.close()

    def _spill(self) -> None:
        run = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        for group in sorted(self._open.items(), key=itemgetter(0)):
            pickle.dump(group, run, protocol=pickle.HIGHEST_PROTOCOL)
        self._runs.append(run)
        self._open.clear()
        self._elements = 0

    def _merged(self) -> Iterator[Group]:
        self._spill()
        merged = heapq.merge(*map(_read_run, self._runs), key=itemgetter(0))
        current: Group | None = None
        for key, state in merged:
            if current is None or current[0] != key:
                if current is not None:
                    yield current
                current = (key, state)
                continue
            for position, function in self._merge:
                current[1][position + 2] = function(current[1][position + 2], state[position + 2])
        if current is not None:
            yield current


def _parts(function: Callable[[Any, Any], Any], codes: Sequence[int], column: Sequence[Any]) -> dict[int, Any]:
    """Return what the values of a column merge to, for each code."""
    adds = function is MERGE["sum"]
    if adds and all(type(value) is int and value == 1 for value in distinct_of(column)):
        return Counter(codes)
    if adds and None not in column:
        function = add  # many times as fast as a function of our own, which looks for None
    parts: dict[int, Any] = {}
    for code, value in zip(codes, column, strict=True):
        parts[code] = function(parts[code], value) if code in parts else value
    return parts


def _read_run(run: IO[bytes]) -> Iterator[Group]:
    run.seek(0)
    while True:
        try:
            group: Group = pickle.load(run)  # noqa: S301 - written by this process, to a file without a name
        except EOFError:
            return
        yield group


def is_overfull(value: Any) -> bool:
    """Whether a list() slot met more elements than it may keep."""
    return isinstance(value, list) and len(value) > MAX_LIST
