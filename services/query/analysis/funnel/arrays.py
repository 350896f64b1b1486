"""Funnels whose steps share no events, as arrays of an actor's events, in one pass over the rows.

An event is one number: its time · 32 + its step from 0. Sorted, simultaneous events stand in the order of the steps, so
a chain through them only ever goes forward; and since no event serves two steps, the nearest event of the next step is
always the best. `arrayFill` and `arrayReverseFill` carry such nearest events along in linear time, whatever an actor
has done. Both leave the first (last) element as it is: a number before (after) all others, of no step, stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from contracts.common import TABLES
from services.kit import sql
from services.query.analysis import breakdown
from services.query.analysis.funnel.disjoint import needs_chains
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.rows import held_of
from services.query.analysis.funnel.values import pack, packed
from services.query.analysis.source import Column

_UNIT: Final = 32
_BEFORE: Final = "toInt64(-4611686018427387873)"
"""-2⁶² + 31: of no step."""
_AFTER: Final = "toInt64(4611686018427387935)"
"""2⁶² + 31."""
OTHER: Final = b"other"
"""No packed tuple: those are of `-`, digits and `:` at their beginning."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """SQL of a funnel. `shown`: the values that have a group, all others being `OTHER`; None: not folded."""

    plan: Plan
    shown: tuple[bytes, ...] | None = None
    chains: bool = False
    """Find the deciding chains, not only their depths."""

    def actors(self) -> str:
        """Return a SELECT of those in the funnel: `actor`, `value` (packed, of a breakdown), `depth`, and with `chains`
        `t1`, `t2`, … (milliseconds; of steps beyond the depth, anything)."""
        times = [f"t{step}" for step in self._steps] if self.chains else []
        inner = self._found()
        if self.plan.request.holding:
            best = ", ".join(["-depth", *times])
            named = [f"best.{place} AS {name}" for place, name in enumerate(times, 2)]
            inner = (
                f"SELECT actor, -best.1 AS depth{''.join(f', {one}' for one in named)} "
                f"FROM (SELECT actor, min(tuple({best})) AS best FROM ({inner}) GROUP BY actor)"
            )
        return f"SELECT {', '.join(['actor', self._value(), 'depth', *times])} FROM ({inner}) WHERE depth > 0"

    def attempts(self) -> str:
        """Return a SELECT of every actor's deepest attempt in every interval of the trend: `actor`, `value`, `begins`
        (milliseconds) and `depth`."""
        keys = ["actor", *(["value"] if self._grouped else [])]
        bounds = ", ".join(f"toInt64({bound})" for bound in self.plan.bounds[:-1])
        each = (
            f"SELECT {', '.join(keys)}, arrayJoin(arrayFilter(x -> x.2 > 0, arrayZip(s, depths))) AS entry, "
            f"roundDown(bitShiftRight(entry.1, 5), [{bounds}]) AS begins FROM ({self._depths()})"
        )
        return (
            f"SELECT actor, {self._value()}, begins, max(entry.2) AS depth "
            f"FROM ({each}) GROUP BY {', '.join([*keys, 'begins'])}"
        )

    @property
    def _steps(self) -> range:
        return range(1, self.plan.rules.steps + 1)

    @property
    def _grouped(self) -> bool:
        return self.plan.request.breakdown is not None

    @property
    def _every_value(self) -> bool:
        asked = self.plan.request.breakdown
        return asked is not None and asked.attribution == "all_events"

    def _value(self) -> str:
        """Return SQL of the group an actor stands in."""
        if not self._grouped:
            return "'' AS value"
        if self._every_value:
            return "value"  # folded before events were gathered
        return f"{self._folded('value')} AS value" if self.shown is not None else "value"

    def _folded(self, value: str) -> str:
        if self.shown is None:
            return value
        shown = ", ".join(map(literal, self.shown))
        return f"if({value} IN ({shown}), {value}, {literal(OTHER)})" if shown else literal(OTHER)

    def _gathered(self) -> str:
        """Return a SELECT of `actor`, `value` or `held` as the request needs, and `x`, the numbers of its events."""
        plan = self.plan
        asked = plan.request.breakdown
        columns: dict[str, Column] = {}
        keys, touch, where = ["actor"], "", ""
        if asked is not None:
            parts = asked
            columns["v"] = lambda scope: packed(breakdown.values(parts, scope))
            if self._every_value:
                keys.append(f"{self._folded('v')} AS value")
            else:
                columns["id"] = lambda _: "message_id"
                columns["place"] = lambda scope: f"toUInt8({TABLES.index(scope.tables[0])})"
                pick = "argMinIf" if asked.attribution == "first_touch" else "argMaxIf"
                absent = literal(pack([None] * len(asked.by)))
                touched = f"{pick}(v, (ts, id, place), v != {absent})"
                touch = f", if({touched} = '', {absent}, {touched}) AS value"
        if plan.request.holding:
            columns["held"] = lambda scope: held_of(plan, scope)
            keys.append("held")
            where = " WHERE held IS NOT NULL"
        source = replace(plan.source(distinct=False), columns=columns)
        flags = "".join(f" + {step} * s{step}" for step in range(1, plan.rules.steps))
        names = [key.split(" AS ")[-1] for key in keys]
        return (
            f"SELECT {', '.join(keys)}{touch}, groupArray(ts * {_UNIT}{flags}) AS x "
            f"FROM ({source.sql()}){where} GROUP BY {', '.join(names)}"
        )

    def _found(self) -> str:
        """Return a SELECT of the keys, `depth` and perhaps times, still apart by the values held."""
        keys = ["actor", *(["value"] if self._grouped else [])]
        if not self.chains:
            if self.plan.rules.order == "ordered":
                return self._depth_forward(keys)
            return f"SELECT {', '.join(keys)}, arrayMax(depths) AS depth FROM ({self._depths()})"
        at = [f"{array}[place] AS c{step}" for step, array in zip(self._steps, self._nearest, strict=True)]
        picked = (
            f"SELECT {', '.join(keys)}, arrayMax(depths) AS depth, indexOf(depths, depth) AS place, "
            f"{', '.join(at)} FROM ({self._depths()})"
        )
        if self.plan.rules.order == "ordered":
            times = [f"bitShiftRight(c{step}, 5) AS t{step}" for step in self._steps]
        else:
            codes = ", ".join(f"c{step}" for step in self._steps)
            times = [f"bitShiftRight(arraySort([{codes}])[{step}], 5) AS t{step}" for step in self._steps]
        return f"SELECT {', '.join(keys)}, depth, {', '.join(times)} FROM ({picked})"

    @property
    def _nearest(self) -> list[str]:
        """Return for each step the array that holds, for every event, the one that would serve the step from there."""
        if self.plan.rules.order == "any":
            return [f"n{step}" for step in self._steps]
        return ["s", *(f"z2_{step}" for step in self._steps[1:])]

    def _depths(self) -> str:
        """Return a SELECT of the keys, `s`, the sorted numbers, the arrays of `_nearest`, and `depths`: how deep the
        attempt of each event comes, 0 for one that is no entry."""
        keys = ["actor", *(["value"] if self._grouped else [])]
        window, last = self.plan.rules.window * _UNIT, self.plan.entries[1] * _UNIT
        named = [f"e{step}" for step in self._steps]
        if self.plan.rules.order == "any":
            fills = [f"{_fill_back('', 's', step)} AS n{step}" for step in self._steps]
            reached = [f"({name} - bitOr(e, 31) <= {window})" for name in named]
            depth = f"(e < {last}) * ({' + '.join(reached)})"
            arguments, arrays = ["e", *named], ["s", *self._nearest]
        else:
            fills = self._fills_ordered()
            reached = [f"({name} - e <= {window + step})" for step, name in enumerate(named[1:], 1)]
            depth = f"(bitAnd(e, 31) = 0 AND e < {last}) * ({' + '.join(['1', *reached])})"
            arguments, arrays = ["e", *named[1:]], self._nearest
        return (
            f"SELECT {', '.join(keys)}, arrayPushBack(arraySort(x), {_AFTER}) AS s, "
            f"{''.join(f'{fill}, ' for fill in fills)}"
            f"arrayMap(({', '.join(arguments)}) -> toUInt8({depth}), {', '.join(arrays)}) AS depths "
            f"FROM ({self._gathered()})"
        )

    def _fills_ordered(self) -> list[str]:
        """Return the arrays z{k}_{j}: for every event the step j of the chain that goes on from its nearest step k."""
        fills = []
        for step in reversed(self._steps[1:]):
            fills.append(f"{_fill_back('', 's', step)} AS z{step}_{step}")
            fills += [
                f"{_fill_back('z', f'z{step + 1}_{later}', step)} AS z{step}_{later}"
                for later in range(step + 1, self.plan.rules.steps + 1)
            ]
        return fills

    def _depth_forward(self, keys: Sequence[str]) -> str:
        """Return a SELECT of the keys and `depth` alone, from the latest entry that leads to each event."""
        window, last = self.plan.rules.window * _UNIT, self.plan.entries[1] * _UNIT
        entry = f"bitAnd(e, 31) = 0 AND e < {last}"
        fills = [f"arrayFill(e -> {entry}, s) AS f1"]
        fills += [
            f"arrayFill((f, e) -> bitAnd(e, 31) = {step - 1}, f{step - 1}, s) AS f{step}" for step in self._steps[1:-1]
        ]
        reached = [
            f"arrayExists((e, f) -> e - f <= {window + step} AND bitAnd(e, 31) = {step}, s, f{step}), {step + 1}"
            for step in reversed(self._steps[:-1])
        ]
        reached.append(f"arrayExists(e -> {entry}, s), 1")
        return (
            f"SELECT {', '.join(keys)}, arrayPushFront(arraySort(x), {_BEFORE}) AS s, {', '.join(fills)}, "
            f"multiIf({', '.join(reached)}, 0) AS depth FROM ({self._gathered()})"
        )


def _fill_back(carried: str, array: str, step: int) -> str:
    """Return SQL that replaces each element by that of the nearest event of a step at it or after it."""
    condition = f"bitAnd(e, 31) = {step - 1}"
    if carried:
        return f"arrayReverseFill(({carried}, e) -> {condition}, {array}, s)"
    return f"arrayReverseFill(e -> {condition}, {array})"


def literal(text: bytes) -> str:
    """Return a String literal of any bytes."""
    return f"unhex('{text.hex()}')"


def of(plan: Plan, shown: tuple[bytes, ...] | None = None) -> Arrays:
    """Return the SQL of the answer to a request."""
    return Arrays(plan, shown, chains=needs_chains(plan.request))


def value_condition(wanted: Sequence[bytes]) -> str:
    """Return a condition: an actor stands in one of these groups."""
    return f"value IN ({', '.join(map(literal, wanted))})" if wanted else "0"


def depth_condition(step: int, *, dropped: bool) -> str:
    """Return a condition: an actor reached a step, or only the one before."""
    return f"depth = {sql.integer(step - 1)}" if dropped else f"depth >= {sql.integer(step)}"
