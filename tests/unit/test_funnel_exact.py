"""One actor's deciding chain, against trying every choice of events."""

from __future__ import annotations

import time
from random import Random

import pytest

from services.query.analysis.funnel.exact.matching import Basis, bits, independent, servable
from services.query.analysis.funnel.exact.rules import Chain, Event, Rules
from services.query.analysis.funnel.exact.story import Judge
from tests.oracle import funnel_chains as oracle

CASES = 2_000


def decide(rules: Rules, events: list[Event], entries: tuple[int, int] = (0, 1_000)) -> Chain | None:
    return Judge(rules).story(events).decide(entries)


def exclusions(rng: Random, order: str, steps: int) -> tuple[tuple[int, int], ...]:
    if steps == 1 or rng.random() < 0.4:
        return ()
    if order == "any":
        return ((1, steps),) * rng.randint(1, 2)
    firsts = [rng.randint(1, steps - 1) for _ in range(rng.randint(1, 3))]
    return tuple((first, rng.randint(first + 1, steps)) for first in firsts)


def random_rules(rng: Random) -> oracle.Rules:
    steps = rng.randint(1, 5)
    order = rng.choice(("ordered", "ordered", "strict", "any"))
    excluding = exclusions(rng, order, steps)
    optional = frozenset(step for step in range(2, steps + 1) if rng.random() < 0.4)
    return oracle.Rules(
        steps=steps,
        window=rng.choice((1, 3, 6, 10, 30)),
        order=order,
        optional=optional if order == "ordered" and not excluding else frozenset(),
        exclusions=excluding,
        effect=rng.choice(("stop", "disqualify")),
    )


def random_acts(rng: Random, rules: oracle.Rules, end: int) -> list[oracle.Act]:
    span, density = rng.choice((2, 4, 8, 15)), rng.choice((0.2, 0.35, 0.6))
    holding = rng.random() < 0.3
    acts = []
    for number in range(rng.randint(1, 7)):
        at = rng.randint(0, span)
        acts.append(
            oracle.Act(
                at=at,
                id=(b"%d" % number, 0),
                serves=frozenset(step for step in range(1, rules.steps + 1) if rng.random() < density),
                excludes=frozenset(number for number in range(len(rules.exclusions)) if rng.random() < 0.3),
                enters=at < end,
                held=(rng.choice((None, "x", "y")),) if holding else (),
            )
        )
    return sorted(acts, key=lambda act: act.place)


@pytest.mark.parametrize("named", [True, False])
def test_the_deciding_chain_is_the_best_of_all_there_are(named: bool) -> None:
    rng = Random(7)
    for _ in range(CASES // 2):
        wanted, end = random_rules(rng), rng.choice((3, 8, 16))
        acts = random_acts(rng, wanted, end)
        rules = Rules(
            steps=wanted.steps,
            window=wanted.window,
            order=wanted.order,
            optional=wanted.optional,
            exclusions=wanted.exclusions,
            disqualify=wanted.effect == "disqualify" and bool(wanted.exclusions),
            named=named,
        )
        events = [
            Event(
                act.at,
                bits(act.serves),
                sum(1 << number for number in act.excludes),
                None if None in act.held else repr(act.held).encode(),
            )
            for act in acts
        ]
        best = oracle.decide(acts, wanted)
        found = decide(rules, events, (0, end))
        if best is None or found is None:
            assert found is best is None, (rules, events)
            continue
        assert (found.steps, found.times) == (best.steps, best.times), (rules, events)
        if named:
            assert found.members == tuple(acts.index(act) for act in best.acts), (rules, events)


def test_one_event_serves_one_step_even_among_simultaneous_ones() -> None:
    rules = Rules(steps=3, window=10)
    both = Event(5, 0b011, 0, b"")
    assert decide(rules, [both]) == Chain(1, (5,), (1,), ())
    assert decide(rules, [both, Event(5, 0b001, 0, b""), Event(5, 0b100, 0, b"")]) == Chain(3, (5, 5, 5), (1, 2, 3), ())


def test_a_strict_chain_may_leave_a_step_for_the_next_timestamp() -> None:
    # Taking 2 and 3 at once would leave nothing for the moment after.
    events = [Event(0, 1, 0, b""), Event(1, 0b10, 0, b""), Event(1, 0b100, 0, b""), Event(2, 0b100, 0, b"")]
    rules = Rules(steps=4, window=10, order="strict")
    assert decide(rules, [*events, Event(3, 0b1000, 0, b"")]) == Chain(4, (0, 1, 2, 3), (1, 2, 3, 4), ())


def test_an_exclusion_that_serves_the_chain_does_not_break_it() -> None:
    rules = Rules(steps=3, window=10, exclusions=((1, 3),))
    serving = [Event(0, 1, 0, b""), Event(2, 0b10, 1, b""), Event(3, 0b100, 0, b"")]
    assert decide(rules, serving) == Chain(3, (0, 2, 3), (1, 2, 3), ())
    assert decide(rules, [serving[0], Event(1, 0b10, 0, b""), *serving[1:]]) == Chain(3, (0, 2, 3), (1, 2, 3), ())


def test_the_work_grows_with_the_events_and_not_with_their_square() -> None:
    rng = Random(1)
    events = [Event(number // 3, 1 << rng.randrange(4), int(rng.random() < 0.02), b"") for number in range(40_000)]
    rules = [
        Rules(steps=5, window=20_000),
        Rules(steps=5, window=20_000, order="strict"),
        Rules(steps=5, window=20_000, order="any"),
        Rules(steps=5, window=20_000, exclusions=((2, 4),)),
        Rules(steps=5, window=20_000, optional=frozenset({2, 4})),
    ]
    begun = time.process_time()
    for each in rules:
        chain = decide(each, events, (0, 20_000))
        assert chain is not None and len(chain.steps) < 5
    assert time.process_time() - begun < 20


def test_matching_finds_distinct_events_for_all_steps_or_says_that_there_are_none() -> None:
    assert servable([1, 2], [0b11, 0b01])
    assert not servable([1, 2], [0b11])
    assert not servable([1, 2, 3], [0b011, 0b011, 0b011])
    assert independent([0b011, 0b001, 0b110])
    assert not independent([0b1, 0b1])
    basis = Basis()
    assert [basis.add(steps) for steps in (0b11, 0b01, 0b11, 0, 0b100)] == [True, True, False, False, True]
    assert len(basis) == 3
