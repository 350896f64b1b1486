"""How far one actor gets in a funnel, by trying every choice of events: docs/funnel.md, followed literally."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Texts: TypeAlias = tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Act:
    """An event of one actor, as a funnel sees it. `at`: milliseconds; `id`: tells events apart, and orders those of one
    time; `serves`: the steps (from 1) whose series mean it; `excludes`: the exclusions (from 0) that mean it; `enters`:
    it lies in [from, to); `held`: its values of the fields of `holding`; `values`: of the breakdown's parts."""

    at: int
    id: tuple[bytes, str]
    serves: frozenset[int] = frozenset()
    excludes: frozenset[int] = frozenset()
    enters: bool = True
    held: Texts = ()
    values: Texts = ()

    @property
    def place(self) -> tuple[int, tuple[bytes, str]]:
        """Where it stands among the actor's events."""
        return self.at, self.id

    @property
    def is_step(self) -> bool:
        """Whether it serves a step: no event does that lacks a field held."""
        return bool(self.serves) and None not in self.held


@dataclass(frozen=True)
class Rules:
    """A funnel without its events. `window`: milliseconds; `exclusions`: (from_step, to_step) of each."""

    steps: int
    window: int
    order: Literal["ordered", "strict", "any"] = "ordered"
    optional: frozenset[int] = frozenset()
    exclusions: tuple[tuple[int, int], ...] = ()
    effect: Literal["stop", "disqualify"] = "stop"


@dataclass(frozen=True)
class Chain:
    """Distinct events and the steps they are said to reach; in `any` order that is 1, 2, … by time."""

    steps: tuple[int, ...]
    acts: tuple[Act, ...]

    @property
    def times(self) -> tuple[int, ...]:
        return tuple(act.at for act in self.acts)

    def at(self, step: int) -> int | None:
        """Return when it reached a step, None if it did not."""
        act = self.act(step)
        return None if act is None else act.at

    def act(self, step: int) -> Act | None:
        """Return the event that serves a step, None if there is none."""
        return dict(zip(self.steps, self.acts, strict=True)).get(step)


@dataclass(frozen=True)
class Attempt:
    """What comes of one entry. `depth`: of its deepest chain, clean or not; `chain`: the best of its chains that count,
    None when the entry is dirty."""

    depth: int
    chain: Chain | None


def decide(acts: Sequence[Act], rules: Rules) -> Chain | None:
    """Return the deciding chain of an actor with these events, None when the actor is not in the funnel."""
    return best_of([attempt(entry, acts, rules) for entry in entries_of(acts, rules)], rules)


def entries_of(acts: Sequence[Act], rules: Rules) -> list[Act]:
    """Return the events that enter."""
    return [act for act in acts if act.enters and act.is_step and (rules.order == "any" or 1 in act.serves)]


def best_of(attempts: Sequence[Attempt], rules: Rules) -> Chain | None:
    """Return the deciding chain among those of some entries."""
    clean = [one.chain for one in attempts if one.chain is not None]
    deepest = max((len(chain.acts) for chain in clean), default=0)
    if rules.order != "any" and any(one.chain is None and one.depth > deepest for one in attempts):
        return None
    return min(clean, key=lambda chain: rank(chain, rules), default=None)


def attempt(entry: Act, acts: Sequence[Act], rules: Rules) -> Attempt:
    """Return what comes of an entry."""
    found = list(chains(entry, acts, rules))
    if rules.effect == "stop":
        counted = [chain for chain in found if not is_broken(chain, acts, rules)]
    else:
        full = max(len(chain.acts) for chain in found)
        counted = [
            chain
            for chain in found
            if len(chain.acts) == full and not is_broken(chain, acts, rules) and not is_followed(chain, acts, rules)
        ]
    best = min(counted, key=lambda chain: rank(chain, rules), default=None)
    return Attempt(max(len(chain.acts) for chain in found), best)


def rank(chain: Chain, rules: Rules) -> tuple[object, ...]:
    """Return what puts the better chain first: most required steps, most optional ones, times, steps, events."""
    optional = len(rules.optional.intersection(chain.steps))
    required = len(chain.steps) - optional
    return -required, -optional, chain.times, chain.steps, tuple(act.id for act in chain.acts)


def chains(entry: Act, acts: Sequence[Act], rules: Rules) -> Iterator[Chain]:
    """Yield every chain whose first event is `entry`, clean or not."""
    near = [
        act
        for act in acts
        if act != entry and act.is_step and act.held == entry.held and entry.at <= act.at <= entry.at + rules.window
    ]
    if rules.order == "any":
        # The first event of a chain is the first of its time, too.
        return _any_order(entry, [act for act in near if act.place > entry.place], rules)
    every = acts if rules.order == "strict" else ()
    return _in_order(Chain((1,), (entry,)), near, every, rules)


def _in_order(chain: Chain, near: Sequence[Act], every: Sequence[Act], rules: Rules) -> Iterator[Chain]:
    yield chain
    last = chain.acts[-1]
    for step in _following(chain.steps[-1], rules):
        for act in near:
            if step not in act.serves or act in chain.acts or act.at < last.at:
                continue
            if any(last.at < other.at < act.at for other in every):
                continue
            yield from _in_order(Chain((*chain.steps, step), (*chain.acts, act)), near, every, rules)


def _following(step: int, rules: Rules) -> Iterator[int]:
    """Yield the steps that may come next: optional ones, and the next that is required."""
    for following in range(step + 1, rules.steps + 1):
        yield following
        if following not in rules.optional:
            return


def _any_order(entry: Act, later: Sequence[Act], rules: Rules) -> Iterator[Chain]:
    """Yield each choice of events that can serve as many different steps."""
    chosen: set[frozenset[Act]] = set()

    def serve(step: int, used: frozenset[Act]) -> None:
        if step > rules.steps:
            if entry in used:
                chosen.add(used)
            return
        serve(step + 1, used)
        for act in (entry, *later):
            if step in act.serves and act not in used:
                serve(step + 1, used | {act})

    serve(1, frozenset())
    for events in chosen:
        ordered = tuple(sorted(events, key=lambda act: act.place))
        yield Chain(tuple(range(1, len(ordered) + 1)), ordered)


def is_broken(chain: Chain, acts: Sequence[Act], rules: Rules) -> bool:
    """Tell whether an exclusion lies between the steps it spans, as far as the chain reaches them."""
    depth, times = len(chain.acts), chain.times
    for number, (first, last) in enumerate(rules.exclusions):
        reached = min(last, depth)
        if first < reached and any(
            times[first - 1] < act.at < times[reached - 1] for act in _excluding(number, chain, acts)
        ):
            return True
    return False


def is_followed(chain: Chain, acts: Sequence[Act], rules: Rules) -> bool:
    """Tell whether an exclusion comes after its first step, inside the window, and its last step was not reached."""
    depth, times = len(chain.acts), chain.times
    for number, (first, last) in enumerate(rules.exclusions):
        if first <= depth < last and any(
            times[first - 1] < act.at <= times[0] + rules.window for act in _excluding(number, chain, acts)
        ):
            return True
    return False


def _excluding(number: int, chain: Chain, acts: Sequence[Act]) -> list[Act]:
    held = chain.acts[0].held
    return [act for act in acts if number in act.excludes and act.held == held and act not in chain.acts]
