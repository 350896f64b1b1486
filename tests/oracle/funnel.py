"""The answers that funnels must give: docs/funnel.md, followed literally, over events as they were sent."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeAlias

from tests.oracle import series
from tests.oracle.events import Event
from tests.oracle.funnel_chains import Act, Attempt, Chain, Rules, Texts, attempt, best_of, entries_of
from tests.oracle.series import Key, Pairs

Request: TypeAlias = Mapping[str, Any]
Decided: TypeAlias = dict[Key, Chain]
"""The deciding chains of the actors that are in a funnel."""


@dataclass(frozen=True)
class Group:
    """A group of a breakdown; None in its place is the whole."""

    values: Texts = ()
    other: bool = False

    @property
    def json(self) -> dict[str, Any]:
        return {"values": list(self.values), "other": self.other}


@dataclass(frozen=True)
class Part:
    """A funnel of the answer: those in it, and those in it by their entries in each interval of the trend."""

    group: Group | None
    whole: Decided
    points: tuple[Decided, ...] = ()

    def reached(self, step: int, *, point: int | None = None) -> set[Key]:
        """Return the actors that reached a step."""
        decided = self.whole if point is None else self.points[point]
        return {key for key, chain in decided.items() if step in chain.steps}


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """A request and the events it is asked of. `pairs`: all events of the workspace with whom they count for
    (`series.keyed`); `start`, `end`: the range in milliseconds; `intervals`: the instants at which those of the trend
    begin, and last the end of the last; `internal`: the workspace's predicate of internal users, if any."""

    request: Request
    pairs: Pairs
    start: int
    end: int
    as_of: datetime
    zone: str = "UTC"
    intervals: tuple[int, ...] = ()
    internal: Mapping[str, Any] | None = None

    @cached_property
    def rules(self) -> Rules:
        request = self.request
        steps = request["steps"]
        return Rules(
            steps=len(steps),
            window=request.get("window", 1_209_600) * 1000,
            order=request.get("order", "ordered"),
            optional=frozenset(number for number, step in enumerate(steps, 1) if step.get("optional")),
            exclusions=tuple(
                (one.get("from_step", 1), one.get("to_step") or len(steps)) for one in request.get("exclusions", ())
            ),
            effect=request.get("effect", "stop"),
        )

    @property
    def horizon(self) -> int:
        """The end of what is read: conversions count within the window of the last entry."""
        return self.end if self.request.get("range", "entries") == "all_steps" else self.end + self.rules.window

    @cached_property
    def acts(self) -> dict[Key, list[Act]]:
        """The funnel's events of every actor, in order."""
        request = self.request
        steps, exclusions = request["steps"], request.get("exclusions", ())
        tables = {table for one in (*steps, *exclusions) for table in series.tables_of(one)}
        serving = [self._meant(step) for step in steps]
        excluding = [self._meant(exclusion) for exclusion in exclusions]
        found: dict[Key, list[Act]] = {}
        for key, event in self.pairs:
            if event["table"] not in tables or not self.reads(event):
                continue
            id = series.id_of(event)
            act = Act(
                at=event["timestamp"],
                id=(event["message_id"].encode(), event["table"]),
                serves=frozenset(number for number, meant in enumerate(serving, 1) if id in meant),
                excludes=frozenset(number for number, meant in enumerate(excluding) if id in meant),
                enters=event["timestamp"] < self.end,
                held=tuple(series.value(name, event) for name in request.get("holding", ())),
                values=values_of(request["breakdown"]["by"], event) if request.get("breakdown") else (),
            )
            found.setdefault(key, []).append(act)
        return {key: sorted(acts, key=lambda act: act.place) for key, acts in found.items()}

    def reads(self, event: Event) -> bool:
        """Tell whether an event lies in the time that the funnel reads, and passes what is asked of every event."""
        return self.start <= event["timestamp"] < self.horizon and all(
            series.holds(asked, event, as_of=self.as_of, zone=self.zone) for asked in self._asked
        )

    @property
    def _asked(self) -> list[Mapping[str, Any]]:
        asked = [self.request["where"]] if self.request.get("where") else []
        if self.internal is not None and not self.request.get("include_internal"):
            asked.append({"op": "not", "item": self.internal})
        return asked

    def _meant(self, one: Mapping[str, Any]) -> set[series.EventId]:
        known = round(self.as_of.timestamp() * 1000)
        any_of_them = one.get("occurrence", "any") == "any"
        return series.meant(
            one,
            self.pairs,
            where={"op": "and", "items": self._asked},
            end_of_history=self.horizon if any_of_them else max(self.end, known),
            as_of=self.as_of,
            zone=self.zone,
        )

    @cached_property
    def parts(self) -> list[Part]:
        """The funnels of the answer, in its order."""
        breakdown = self.request.get("breakdown")
        if not breakdown:
            return [self._part(None, self.acts)]
        if breakdown.get("attribution", "first_touch") == "all_events":
            return self._parts_of_events(breakdown.get("limit", 25))
        return self._parts_of_actors(breakdown)

    def _part(self, group: Group | None, acts: Mapping[Key, Sequence[Act]]) -> Part:
        whole: Decided = {}
        points: tuple[Decided, ...] = tuple({} for _ in self.intervals[1:])
        for key, events in acts.items():
            tried = [(entry.at, attempt(entry, events, self.rules)) for entry in entries_of(events, self.rules)]
            begun: dict[int, list[Attempt]] = {}
            for at, one in tried:
                begun.setdefault(bisect_right(self.intervals, at) - 1, []).append(one)
            weighed = [(whole, [one for _, one in tried])]
            weighed += [(points[number], attempts) for number, attempts in begun.items() if self.intervals]
            for decided, attempts in weighed:
                chain = best_of(attempts, self.rules)
                if chain is not None:
                    decided[key] = chain
        return Part(group, whole, points)

    def _parts_of_actors(self, breakdown: Mapping[str, Any]) -> list[Part]:
        """Split the whole: every actor stands under one value."""
        whole = self._part(None, self.acts)
        stands = {key: self._value(breakdown, acts, whole.whole.get(key)) for key, acts in self.acts.items()}
        sizes: dict[Texts, int] = {}
        for key in whole.whole:
            value = stands[key]
            if value is not None:
                sizes[value] = sizes.get(value, 0) + 1
        order = sorted(sizes, key=lambda value: (-sizes[value], text_order(value)))
        limit = breakdown.get("limit", 25)

        def only(group: Group, values: set[Texts]) -> Part:
            return Part(
                group,
                {key: chain for key, chain in whole.whole.items() if stands[key] in values},
                tuple({key: chain for key, chain in point.items() if stands[key] in values} for point in whole.points),
            )

        parts = [only(Group(value), {value}) for value in order[:limit]]
        return [*parts, only(Group(other=True), set(order[limit:]))] if order[limit:] else parts

    @staticmethod
    def _value(breakdown: Mapping[str, Any], acts: Sequence[Act], chain: Chain | None) -> Texts | None:
        attribution = breakdown.get("attribution", "first_touch")
        if attribution == "step":
            act = None if chain is None else chain.act(breakdown["step"])
            return None if act is None else act.values
        shown = [act.values for act in acts if act.is_step and any(value is not None for value in act.values)]
        if not shown:
            return (None,) * len(breakdown["by"])
        return shown[0 if attribution == "first_touch" else -1]

    def _parts_of_events(self, limit: int) -> list[Part]:
        """A funnel of its own for each value, over the events that carry it."""
        present = {act.values for acts in self.acts.values() for act in acts}
        found = {value: self._part(Group(value), self._carrying({value})) for value in present}
        order = sorted(
            (value for value in found if found[value].whole),
            key=lambda value: (-len(found[value].whole), text_order(value)),
        )
        parts = [found[value] for value in order[:limit]]
        if order[limit:]:
            parts.append(self._part(Group(other=True), self._carrying(present.difference(order[:limit]))))
        return parts

    def _carrying(self, values: AbstractSet[Texts]) -> dict[Key, list[Act]]:
        return {key: [act for act in acts if act.values in values] for key, acts in self.acts.items()}

    def listed(
        self, step: int, *, dropped: bool = False, group: Group | None = None, point: int | None = None
    ) -> set[Key]:
        """Return the actors behind a number of the answer."""
        part = next(part for part in self.parts if part.group == group)
        reached = part.reached(step, point=point)
        return part.reached(self.previous(step), point=point) - reached if dropped else reached

    def previous(self, step: int) -> int:
        """Return the last required step before one."""
        return max(other for other in range(1, step) if other not in self.rules.optional)


def values_of(parts: Sequence[Any], event: Event) -> Texts:
    """Return the values of an event that a breakdown's parts show."""
    return tuple(series.value(part, event) if isinstance(part, str) else bucket(part, event) for part in parts)


def bucket(part: Mapping[str, Any], event: Event) -> str | None:
    """Return the name of the bucket that holds an event's number, None when there is none."""
    number = series.number(part["field"], event)
    if number is None:
        return None
    low = None
    for bound in part["bounds"]:
        if number < bound:
            return f"<{bound:.15g}" if low is None else f"{low:.15g}..{bound:.15g}"
        low = bound
    return f">={low:.15g}"


def text_order(values: Texts) -> tuple[tuple[bool, bytes], ...]:
    """Return what orders values: null first, then by bytes."""
    return tuple((value is not None, (value or "").encode()) for value in values)
