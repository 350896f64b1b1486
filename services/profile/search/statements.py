"""Pure: the statements that find profiles. Which of them is sent when: `finding`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.predicates import And, Predicate
from contracts.profile_search import ProfileSort
from services.profile.search import indexes, text
from services.profile.search.compiler import Clock, Compiler, all_of
from services.profile.search.indexes import Usable
from services.profile.search.order import Order, order_of
from services.profile.search.parameters import Bindable, Parameters
from services.profile.search.patterns import Test, split

_COLUMNS: Final = "p.id, p.user_id, p.anonymous_ids, p.traits, p.first_seen_at, p.last_seen_at"
Key = tuple[Sequence[int | str], UUID]
"""Where a profile stands in an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which profiles are meant. `traits`: those that `text` is looked for in."""

    workspace: UUID
    where: Predicate | None
    text: str | None
    traits: tuple[str, ...]
    clock: Clock


@dataclass(frozen=True, slots=True)
class Statement:
    """`test`, when there is one, is given the values of the columns x0, x1, … of a row and tells whether it counts."""

    sql: str
    values: Sequence[Bindable]
    extras: int = 0
    test: Test | None = None


@dataclass(frozen=True, slots=True)
class _Conditions:
    where: str
    indexed: bool
    extras: tuple[str, ...]
    test: Test | None

    @property
    def columns(self) -> str:
        return "".join(f", {extra} AS x{place}" for place, extra in enumerate(self.extras))


class Statements:
    """The statements about the profiles of a filter, in an order.

    Raises:
        InvalidRequest: names the field that cannot be.
    """

    def __init__(self, wanted: Filter, by: ProfileSort, after: Key | None = None) -> None:
        self._filter, self._by, self._after = wanted, by, after
        first = self._conditions(Parameters(), None, by_index=True)
        self.indexed = first.indexed
        """An index finds them without reading others."""
        self.patterns = first.test is not None
        """Rows have to be tested here."""
        self.words = wanted.text is not None
        """Rows are dear to ask: their words have to be found."""
        self.sorted = order_of(by, Parameters(), "/sort").indexed
        """An index has the order."""

    def gathered(self, limit: int | None, bound: int | None) -> Statement:
        """Find all, then sort them. Each row has `total`, how many were found, and no profile when these are more than
        `bound` or none."""
        parameters = Parameters()
        conditions, order = self._parts(parameters, by_index=True)
        most = "" if bound is None else f" LIMIT {bound + 1}"
        few = "" if bound is None else f" WHERE counted.total <= {bound}"
        cut = "" if limit is None else f" LIMIT {limit}"
        sql = (
            f"WITH found AS MATERIALIZED (SELECT p.id{order.columns}{conditions.columns} FROM profiles p "
            f"WHERE {conditions.where}{most}), counted AS (SELECT count(*) AS total FROM found) "
            f"SELECT counted.total, {_COLUMNS}{self._kept(order, conditions)} FROM counted "
            f"LEFT JOIN LATERAL (SELECT found.* FROM found{few} ORDER BY {order.clause('found')}{cut}) AS f ON true "
            f"LEFT JOIN profiles p ON p.id = f.id ORDER BY {order.clause('f')}"
        )
        return Statement(*parameters.used(sql), len(conditions.extras), conditions.test)

    def ordered(self, limit: int | None, window: int | None) -> Statement:
        """Go through the order and take those that are meant; `window`: through no more profiles than that."""
        parameters = Parameters()
        conditions, order = self._parts(parameters, by_index=False)
        source = "profiles p"
        if window is not None:
            source = (
                f"(SELECT p.* FROM profiles p WHERE {self._reach(parameters, order)} "
                f"ORDER BY {order.clause()} LIMIT {window}) AS p"
            )
        cut = "" if limit is None else f" LIMIT {limit}"
        sql = (
            f"SELECT {_COLUMNS}{order.columns}{conditions.columns} FROM {source} "
            f"WHERE {conditions.where} ORDER BY {order.clause()}{cut}"
        )
        return Statement(*parameters.used(sql), len(conditions.extras), conditions.test)

    def unordered(self) -> Statement:
        """Find all, in the order they are come upon."""
        parameters = Parameters()
        conditions = self._conditions(parameters, None, by_index=True)
        sql = f"SELECT {_COLUMNS}{conditions.columns} FROM profiles p WHERE {conditions.where}"
        return Statement(*parameters.used(sql), len(conditions.extras), conditions.test)

    def counted(self, bound: int | None) -> Statement:
        """Count them, to one more than `bound`."""
        parameters = Parameters()
        conditions = self._conditions(parameters, None, by_index=True)
        most = "" if bound is None else f" LIMIT {bound + 1}"
        sql = f"SELECT count(*) FROM (SELECT FROM profiles p WHERE {conditions.where}{most}) AS found"
        return Statement(*parameters.used(sql))

    def _parts(self, parameters: Parameters, *, by_index: bool) -> tuple[_Conditions, Order]:
        order = order_of(self._by, parameters, "/sort")
        return self._conditions(parameters, order, by_index=by_index), order

    def _conditions(self, parameters: Parameters, after: Order | None, *, by_index: bool) -> _Conditions:
        """Return what is asked of a profile: `by_index`, what indexes answer and what is left then; otherwise what is
        soonest asked of each."""
        wanted = self._filter
        compiler = Compiler(parameters, wanted.clock)
        parts = split(wanted.where or And(items=()), compiler, parameters, "/where")
        asked: list[tuple[Usable | None, str]] = []
        if parts.loose != And(items=()):
            whole = compiler.condition(parts.loose, "/where")
            asked.append((indexes.condition(parts.loose, parameters), whole))
        if wanted.text is not None:
            whole = text.condition(wanted.text, wanted.traits, parameters)
            asked.append((text.indexed(wanted.text, wanted.traits, parameters), whole))
        conditions = [self._reach(parameters, after)]
        for usable, whole in asked:
            if usable is not None and (by_index or (usable.exact and usable.light)):
                conditions.append(usable.sql)
            if usable is None or not usable.exact or not (by_index or usable.light):
                conditions.append(whole)
        indexed = any(usable is not None for usable, _ in asked)
        return _Conditions(all_of(conditions), indexed, parts.columns, parts.test)

    def _reach(self, parameters: Parameters, order: Order | None) -> str:
        """Return the condition that a profile is of the workspace, and comes after the page before."""
        own = f"p.workspace_id = {parameters.bind(self._filter.workspace, 'uuid')}"
        if order is None or self._after is None:
            return own
        return f"{own} AND {order.after(self._after, parameters)}"

    @staticmethod
    def _kept(order: Order, conditions: _Conditions) -> str:
        keys = "".join(f", f.k{place}" for place in range(len(order.keys)))
        return keys + "".join(f", f.x{place}" for place in range(len(conditions.extras)))
