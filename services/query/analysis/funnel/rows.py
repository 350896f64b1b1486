"""The events of a funnel as rows, actor by actor, for the exact evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.kit.predicates import Scope, compile_field
from services.query.analysis import breakdown
from services.query.analysis.funnel.plan import Plan
from services.query.analysis.funnel.values import packed, packed_whole
from services.query.analysis.source import RANK, Column


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns follow `actor`, `ts`, `steps` and `exclusions`."""

    held: bool
    value: bool

    @staticmethod
    def of(plan: Plan) -> Layout:
        """Return the layout that a request needs."""
        return Layout(bool(plan.request.holding), plan.request.breakdown is not None)


def rows_sql(plan: Plan, *, only: str = "") -> str:
    """Return a SELECT of the events, each once, in the order (actor, timestamp, message_id, table): `actor`, `ts`
    (milliseconds), `steps` and `exclusions` (bits), then as the layout says `held` (String; NULL when it lacks one of
    the values) and `value` (String), both packed (see values.py). `only`: a SELECT of the actors wanted."""
    layout = Layout.of(plan)
    columns: dict[str, Column] = {}
    if layout.held:
        columns["held"] = lambda scope: held_of(plan, scope)
    if layout.value:
        columns["value"] = lambda scope: packed(_values(plan, scope))
        # Which of simultaneous events comes first decides only whose values count.
        columns["id"] = lambda _: "message_id"
        columns["place"] = lambda scope: f"toUInt8({RANK[scope.tables[0]]})"
    source = replace(plan.source(distinct=True, every=plan.rules.order == "strict"), columns=columns)
    steps, exclusions = plan.rules.steps, len(plan.rules.exclusions)
    output = [
        "actor",
        "ts",
        f"{_bits(range(steps))} AS steps",
        f"{_bits(range(steps, steps + exclusions))} AS exclusions",
        *(["held"] if layout.held else []),
        *(["value"] if layout.value else []),
    ]
    order = "actor, ts, id, place" if layout.value else "actor, ts"
    wanted = f" WHERE actor IN ({only})" if only else ""
    return f"SELECT {', '.join(output)} FROM ({source.sql()}){wanted} ORDER BY {order}"


def _bits(series: range) -> str:
    terms = [f"bitShiftLeft(toUInt32(s{number}), {place})" for place, number in enumerate(series)]
    return " + ".join(terms) if terms else "toUInt32(0)"


def held_of(plan: Plan, scope: Scope) -> str:
    """Return SQL of the values of `holding`, packed; NULL when an event lacks one."""
    fields = enumerate(plan.request.holding)
    return packed_whole([compile_field(name, scope, pointer=f"/holding/{index}").text for index, name in fields])


def _values(plan: Plan, scope: Scope) -> list[str]:
    assert plan.request.breakdown is not None
    return breakdown.values(plan.request.breakdown, scope)
