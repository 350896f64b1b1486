"""What an analysis reads: its series' events with the key of whom each counts for, as one SELECT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from contracts import predicates as tree
from contracts.analysis import Series
from contracts.common import TABLES, TableName, expand_tables
from contracts.errors import InvalidRequest
from contracts.predicates import Predicate
from services.kit import sql
from services.kit.event_rows import NAME_COLUMN, check_names
from services.kit.predicates import PROFILE, Scope, check_predicate, compile_predicate, join
from services.query.analysis import sessionise
from services.query.analysis.subject import ACTOR, SESSION_TABLES, Subject
from services.query.frame import Frame

Column: TypeAlias = Callable[[Scope], str]
"""SQL of a value of an event of the scope's one table."""

RANK: Final = {table: rank for rank, table in enumerate(sorted(TABLES))}
"""Where a table stands in the order of events that share time and message id: by its name, as in /query/events."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STABLE_FIELDS: Final = frozenset({"event", "name", "table", "timestamp", "user_id", "anonymous_id", "message_id"})
"""A message sent again carries these unchanged: what is asked of them holds for all rows of an event or for none."""


ORDER: Final[Mapping[str, Column]] = {
    "message": lambda scope: "message_id",
    "source": lambda scope: f"toUInt8({RANK[scope.tables[0]]})",
}
"""What orders events of one time, to be read as `columns`."""


def tables_of(series: Sequence[Series]) -> tuple[TableName, ...]:
    """Return the tables that some series name, in their fixed order."""
    named = {table for one in series for table in expand_tables(one.table)}
    return tuple(table for table in TABLES if table in named)


def asked_of_all(where: Predicate | None, frame: Frame, *, include_internal: bool) -> tuple[tuple[Predicate, str], ...]:
    """Return what an analysis asks of every event, with the pointer of each part: its own `where`, and not to be of
    the workspace's internal users."""
    asked: list[tuple[Predicate, str]] = [] if where is None else [(where, "/where")]
    if frame.internal is not None and not include_internal:
        asked.append((tree.Not(item=frame.internal), "/include_internal"))
    return tuple(asked)


def check_series(one: Series, pointer: str) -> None:
    """Refuse a series that cannot be.

    Raises:
        InvalidRequest: at the part, under `pointer`.
    """
    tables = expand_tables(one.table)
    check_names(one.names, tables, f"{pointer}/names")
    if one.where is not None:
        check_predicate(one.where, tables, f"{pointer}/where")
    if one.having is not None:
        if one.occurrence == "any":
            raise InvalidRequest.at(f"{pointer}/having", "goes with occurrence first or last; ask `where` of any event")
        check_predicate(one.having, tables, f"{pointer}/having")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The events of an analysis, settled. `where`: asked of every event. `columns`: further values of each event, by
    name. `distinct`: duplicates would change the answer even where all rows of an event agree (it counts events, or
    one event may serve twice). `every`: keep the events of the series' tables that no series means. `resolved`: keys
    are those of resolved actors; if not, whoever groups by them resolves each once (`Subject.resolve`).
    """

    frame: Frame
    subject: Subject
    series: tuple[Series, ...]
    start: datetime | None
    end: datetime
    where: tuple[tuple[Predicate, str], ...] = ()
    columns: Mapping[str, Column]
    distinct: bool
    every: bool = False
    resolved: bool = True
    pointers: tuple[str, ...]
    """Of each series in the request."""

    def sql(self) -> str:
        """Return a SELECT of `actor` (see Subject), `ts` (Int64, milliseconds), `mid` (UInt64), `s0`, `s1`, … (UInt8: a
        series means this event), and `columns`. Each event once if `distinct`."""
        plain = [index for index, one in enumerate(self.series) if one.occurrence == "any"]
        single = [index for index, one in enumerate(self.series) if one.occurrence != "any"]
        selects = []
        if plain or self.every:
            tables = self._read(tables_of(self.series if self.every else [self.series[index] for index in plain]))
            if tables:
                selects.append(self._keyed(" UNION ALL ".join(self._events(table, plain) for table in tables)))
        selects += [self._one_each(index) for index in single if self._read(expand_tables(self.series[index].table))]
        if not selects:  # no event of these tables belongs to a session
            nothing = replace(self, every=True)._events("track", [])
            return f"SELECT toString(actor) AS actor, * EXCEPT (actor) FROM ({nothing}) WHERE 0"
        united = " UNION ALL ".join(selects)
        if not single or len(selects) == 1:
            return united
        # The first event of an actor may also be any event of another series: it is one event still.
        merged = ", ".join(
            [f"max({self._flag(index)}) AS {self._flag(index)}" for index in range(len(self.series))]
            + [f"any({sql.identifier(name)}) AS {sql.identifier(name)}" for name in self.columns]
        )
        return (
            f"SELECT actor, ts, mid, {merged} FROM (SELECT * FROM ({united})) GROUP BY actor, ts, mid, source"
            if self.distinct
            else f"SELECT * EXCEPT source FROM ({united})"
        )

    @property
    def needs_final(self) -> bool:
        """Whether duplicates must be removed before anything is asked."""
        asked = [predicate for predicate, _ in self.where]
        for one in self.series:
            asked += [predicate for predicate in (one.where, one.having) if predicate is not None]
        stable = self.subject.stable and all(map(is_stable, asked)) and not self.columns
        return self.distinct or not stable

    def scope(self, table: TableName) -> Scope:
        """Return where expressions over one table stand."""
        return self.frame.scope(table)

    def _read(self, tables: Sequence[TableName]) -> tuple[TableName, ...]:
        return tuple(table for table in tables if self.subject.by != "session" or table in SESSION_TABLES)

    @property
    def _named(self) -> Subject:
        """Whose rows are read: a session's are those of an actor."""
        return ACTOR if self.subject.by == "session" else self.subject

    @property
    def _own(self) -> bool:
        """Whether keys are those that rows name, not resolved."""
        return not self.resolved and self.subject.by != "session"

    def _keyed(self, events: str) -> str:
        """Return a SELECT (of actor, ts and more) with the keys of those who are counted."""
        if self.subject.by != "session":
            return events
        all_history = any(one.occurrence != "any" for one in self.series)
        seen = replace(
            self,
            subject=ACTOR,
            series=(Series(table=SESSION_TABLES),),
            start=None if all_history else self.start,
            end=self.frame.history_end if all_history else self.end,
            columns={},
            distinct=False,
            every=False,
            resolved=True,
            pointers=("",),
        )
        return sessionise.keyed(events, sessionise.gathered(seen.sql(), "ts"))

    @staticmethod
    def _flag(index: int) -> str:
        return f"s{index}"

    def _merges(self) -> bool:
        return any(one.occurrence != "any" for one in self.series)

    def _output(self, flags: Sequence[str], columns: Sequence[str], table: str) -> str:
        named = [f"{value} AS {self._flag(index)}" for index, value in enumerate(flags)]
        named += [f"{value} AS {sql.identifier(name)}" for name, value in zip(self.columns, columns, strict=True)]
        if self._merges():
            named.append(f"{table} AS source")
        return ", ".join(named)

    def _events(self, table: TableName, plain: Sequence[int]) -> str:
        scope = self.scope(table)
        flags = ["toUInt8(0)"] * len(self.series)
        conditions = []
        for index in plain:
            condition = self._means(index, table, scope)
            conditions.append(condition)
            flags[index] = f"toUInt8({condition})"
        names = None if self.every else self._names([self.series[index] for index in plain], table)
        rest = [compile_predicate(predicate, scope, pointer) for predicate, pointer in self.where]
        if not self.every and self._must_ask(plain, table):
            rest.append(f"({' OR '.join(conditions)})")
        output = self._output(flags, [column(scope) for column in self.columns.values()], str(RANK[table]))
        source = self._from(table, names, rest, self.start, self.end)
        key = self._named.own_key(scope) if self._own else self._named.key(scope)
        return f"SELECT {key} AS actor, toUnixTimestamp64Milli(timestamp) AS ts, mid, {output} {source}"

    def _must_ask(self, plain: Sequence[int], table: TableName) -> bool:
        """Tell whether reading by name alone lets through what no series means."""
        here = [self.series[index] for index in plain if table in expand_tables(self.series[index].table)]
        return any(one.where is not None for one in here) and not any(
            one.where is None and not one.names for one in here
        )

    def _one_each(self, index: int) -> str:
        """Return the one event of each actor that a series with an occurrence means, if it lies in the range."""
        one = self.series[index]
        inner = []
        for table in self._read(expand_tables(one.table)):
            scope = self.scope(table)
            having = (
                "1" if one.having is None else compile_predicate(one.having, scope, f"{self.pointers[index]}/having")
            )
            rest = [compile_predicate(predicate, scope, pointer) for predicate, pointer in self.where]
            if one.where is not None:
                rest.append(compile_predicate(one.where, scope, f"{self.pointers[index]}/where"))
            values = [f"{column(scope)} AS v{number}" for number, column in enumerate(self.columns.values())]
            inner.append(
                f"SELECT {self._named.key(scope)} AS actor, {self._named.own_key(scope)} AS own, "
                f"toUnixTimestamp64Milli(timestamp) AS ts, mid, message_id, {RANK[table]} AS source, "
                f"{', '.join([*values, f'{having} AS having'])} "
                f"{self._from(table, self._names([one], table), rest, None, self.frame.history_end)}"
            )
        pick = "argMin" if one.occurrence == "first" else "argMax"
        kept = ["ts", "mid", "source", "having", "own", *(f"v{number}" for number in range(len(self.columns)))]
        chosen = f"{pick}(tuple({', '.join(kept)}), (ts, message_id, source))"
        flags = [f"toUInt8({int(number == index)})" for number in range(len(self.series))]
        output = self._output(flags, [f"e.{number + 6}" for number in range(len(self.columns))], "e.3")
        key = "e.5" if self._own else "counted"
        bounds = [f"e.1 < {_milliseconds(self.end)}", "e.4"]
        if self.start is not None:
            bounds.append(f"e.1 >= {_milliseconds(self.start)}")
        return (
            f"SELECT {key} AS actor, e.1 AS ts, e.2 AS mid, {output} FROM (SELECT actor AS counted, {chosen} AS e "
            f"FROM ({self._keyed(' UNION ALL '.join(inner))}) GROUP BY actor) WHERE {' AND '.join(bounds)}"
        )

    def _means(self, index: int, table: TableName, scope: Scope) -> str:
        one = self.series[index]
        if table not in expand_tables(one.table):
            return "0"
        conditions = []
        if one.names:
            conditions.append(_named(one.names, table))
        if one.where is not None:
            conditions.append(compile_predicate(one.where, scope, f"{self.pointers[index]}/where"))
        return f"({' AND '.join(conditions)})" if conditions else "1"

    @staticmethod
    def _names(series: Sequence[Series], table: TableName) -> list[str] | None:
        """Return the names to read from a table, None for all of them."""
        here = [one for one in series if table in expand_tables(one.table)]
        if any(not one.names for one in here):
            return None
        return sorted({name for one in here for name in one.names})

    def _from(
        self,
        table: TableName,
        names: Sequence[str] | None,
        rest: Sequence[str],
        start: datetime | None,
        end: datetime,
    ) -> str:
        keys = [f"workspace_id = {sql.uuid(self.frame.workspace)}", f"timestamp < {sql.datetime64(end)}"]
        if start is not None:
            keys.append(f"timestamp >= {sql.datetime64(start)}")
        if names is not None:
            keys.append(_named(names, table))
        known = self._named.known(self.scope(table))
        asked = list(rest)
        (keys if self._named.stable else asked).append(known)
        where = f" WHERE {' AND '.join(asked)}" if asked else ""
        final = " FINAL" if self.needs_final else ""
        return f"FROM events_{table}{final}{join(self.scope(table))} PREWHERE {' AND '.join(keys)}{where}"


def _named(names: Sequence[str], table: TableName) -> str:
    column = NAME_COLUMN.get(table)
    return f"{column} IN ({', '.join(map(sql.string, names))})" if column else "0"


def _milliseconds(moment: datetime) -> str:
    """Return a moment in milliseconds, rounded up: whole ones compare with it as with the moment."""
    return f"toInt64({sql.integer(-((_EPOCH - moment) // timedelta(milliseconds=1)))})"


def is_stable(predicate: Predicate) -> bool:
    """Tell whether a predicate asks only of what all rows of an event share."""
    match predicate:
        case tree.And() | tree.Or():
            return all(map(is_stable, predicate.items))
        case tree.Not():
            return is_stable(predicate.item)
        case _:
            return predicate.field in _STABLE_FIELDS or predicate.field.startswith(f"{PROFILE}.")
