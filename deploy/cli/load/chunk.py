"""Rows on their way from a file to the tables, some thousands at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from deploy.cli.load.coded import distinct_of, replaced
from deploy.cli.load.errors import RowError
from deploy.cli.load.memo import each


@dataclass(frozen=True)
class Reject:
    """A row, or an event of it, that cannot be loaded. `line` counts from 1, as an editor does; so does `row`, where
    each record counts, rejected or not; they are equal but for headers, blank lines and line breaks inside quotes."""

    line: int
    row: int
    reason: str
    source: object


@dataclass
class Chunk:
    """Rows of a file: either `columns` (CSV, Parquet, groups) or `objects` (NDJSON), never both."""

    rows: Sequence[int]
    lines: Sequence[int]
    sources: Sequence[object]
    columns: Mapping[str, Sequence[Any]] | None = None
    objects: Sequence[Any] | None = None
    _typed: dict[str, Sequence[Any]] = field(default_factory=dict)
    _computed: dict[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def raw_column(self, name: str) -> Sequence[Any]:
        """Return the values of a column, None where absent; of NDJSON rows a key, else a dotted path."""
        if self.columns is not None:
            found = self.columns[name]
            if "" not in found:
                return found
            return replaced(found, [None if value == "" else value for value in distinct_of(found)])
        assert self.objects is not None
        if "." not in name:
            return [row.get(name) for row in self.objects]
        return [_at_path(row, name) for row in self.objects]

    def column(self, name: str, convert: Callable[[Any], Any] | None) -> Sequence[Any]:
        """Return the values of a column after `convert`, computed once.

        Raises:
            RowError: a value does not convert; names the column.
        """
        found = self._typed.get(name)
        if found is None:
            found = self.raw_column(name)
            if convert is not None:
                try:
                    found = each(convert, found)
                except RowError as error:
                    raise RowError(f"{name}: {error}") from error
            self._typed[name] = found
        return found

    def computed(self, expression: str, compute: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """Return what an expression gives for these rows, computed once: several events may hold it."""
        found = self._computed.get(expression)
        if found is None:
            found = self._computed[expression] = compute()
        return found

    def slice(self, start: int, stop: int) -> Chunk:
        """Return the rows from `start` to before `stop`."""
        return self._pick(lambda values: values[start:stop])

    def take(self, keep: Sequence[bool]) -> Chunk:
        """Return the rows for which `keep` is true."""
        return self if all(keep) else self._pick(lambda values: list(compress(values, keep)))

    def rejects(self, reason: str) -> Iterable[Reject]:
        """Return every row as rejected for one reason."""
        for row, line, source in zip(self.rows, self.lines, self.sources, strict=True):
            yield Reject(line=line, row=row, reason=reason, source=source)

    def _pick(self, pick: Callable[[Sequence[Any]], Sequence[Any]]) -> Chunk:
        return Chunk(
            rows=pick(self.rows),
            lines=pick(self.lines),
            sources=pick(self.sources),
            columns=None if self.columns is None else {name: pick(values) for name, values in self.columns.items()},
            objects=None if self.objects is None else pick(self.objects),
        )


def _at_path(value: Any, path: str) -> Any:
    """Return what lies at a dotted path; a key that itself has dots is found too."""
    while isinstance(value, dict):
        if path in value:
            return value[path]
        head, dot, path = path.partition(".")
        value = value.get(head) if dot else None
    return None
