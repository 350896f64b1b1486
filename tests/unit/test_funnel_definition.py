"""Cases worked out on paper that the funnel oracle must get right: each sentence of docs/funnel.md at least once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.oracle import funnel_answer, series
from tests.oracle.events import Event
from tests.oracle.funnel import Funnel, Group
from tests.oracle.funnel_chains import Act, Rules, decide

Times = dict[int, float]


def decided(
    history: str,
    steps: str,
    *,
    window: float = 10,
    order: Any = "ordered",
    exclusions: dict[str, tuple[int, int]] | None = None,
    effect: Any = "stop",
    to: float = 1_000,
) -> Times | None:
    """Return the seconds at which the deciding chain reached each step.

    `history`: events such as `a5` (a name and seconds), `a5/p` with the value p of the field held, `a5/-` without one.
    `steps`: such as `a bc d?`: step 2 is served by b and by c, step 3 is optional. `exclusions`: by name.
    """
    asked = steps.split()
    spans = exclusions or {}
    acts = []
    for place, text in enumerate(history.split()):
        found = re.fullmatch(r"([a-z])([0-9.]+)(?:/(.))?", text)
        assert found is not None, text
        name, at, held = found.groups()
        acts.append(
            Act(
                at=round(float(at) * 1000),
                id=(f"{place:03}".encode(), "track"),
                serves=frozenset(number for number, names in enumerate(asked, 1) if name in names),
                excludes=frozenset(number for number, excluding in enumerate(spans) if excluding == name),
                enters=float(at) < to,
                held=() if held is None else (None if held == "-" else held,),
            )
        )
    rules = Rules(
        steps=len(asked),
        window=round(window * 1000),
        order=order,
        optional=frozenset(number for number, names in enumerate(asked, 1) if names.endswith("?")),
        exclusions=tuple(spans.values()),
        effect=effect,
    )
    chain = decide(acts, rules)
    return None if chain is None else {step: at / 1000 for step, at in zip(chain.steps, chain.times, strict=True)}


def times(*seconds: float) -> Times:
    """Return the steps 1, 2, … reached at these seconds."""
    return dict(enumerate(seconds, 1))


@pytest.mark.parametrize(
    ("history", "steps", "expected"),
    [
        ("a0 b1 c2", "a b c", times(0, 1, 2)),
        ("b0 a1", "a b", times(1)),
        ("b0", "a b", None),
        ("a0 c1 b2 c3", "a b c", times(0, 2, 3)),
        # One event serves one step.
        ("a0", "a a", times(0)),
        ("a0 b1", "a a b", times(0)),
        ("a0 a1 b2", "a a b", times(0, 1, 2)),
        ("a0 b1", "a b a", times(0, 1)),
        ("a0 b1 a2", "a b a", times(0, 1, 2)),
        ("a0 b1", "a ab ab", times(0, 1)),
        # Equal timestamps may follow each other in either order.
        ("b0 a0", "a b", times(0, 0)),
        ("b0 a0 a0", "a b a", times(0, 0, 0)),
        ("b0 a0", "a b a", times(0, 0)),
        ("a0 a0 b0", "a a b", times(0, 0, 0)),
        ("a0 a0 b0", "a b a b", times(0, 0, 0)),
        ("a0 b1 c1", "a bc b", times(0, 1, 1)),
        ("a0 b1 c2", "a bc b", times(0, 1)),
        # The window runs from step 1 and includes its end.
        ("a0 b10", "a b", times(0, 10)),
        ("a0 b10.001", "a b", times(0)),
        ("a0 b8 c12", "a b c", times(0, 8)),
        # The deepest entry, of equal depth the earliest, and then the smallest times.
        ("a0 a5 b12", "a b", times(5, 12)),
        ("a0 a5 b6", "a b", times(0, 6)),
        ("a0 b2 b3 c4", "a b c", times(0, 2, 4)),
        ("a0 b1 a20 b21 c22", "a b c", times(20, 21, 22)),
        ("a0 b1 c9.5 c9", "a b c", times(0, 1, 9)),
    ],
)
def test_ordered_chains_take_distinct_events_in_order_of_time_inside_the_window(
    history: str, steps: str, expected: Times | None
) -> None:
    assert decided(history, steps) == expected


@pytest.mark.parametrize(
    ("history", "to", "expected"),
    [
        ("a9 b12", 10, times(9, 12)),
        ("a10 b12", 10, None),
        ("a5 a11 b18", 10, times(5)),  # the entry that would reach b comes too late
    ],
)
def test_an_entry_lies_before_the_end_of_the_range_and_what_follows_inside_its_window(
    history: str, to: float, expected: Times | None
) -> None:
    assert decided(history, "a b", to=to) == expected


@pytest.mark.parametrize(
    ("history", "steps", "expected"),
    [
        ("a0 b1 c2", "a b c", times(0, 1, 2)),
        ("a0 x1 b2", "a b", times(0)),
        ("a0 x0 b2", "a b", times(0, 2)),  # at the very timestamp of either is not between
        ("a0 x2 b2", "a b", times(0, 2)),
        ("a0 a1 b2", "a b", times(1, 2)),  # an event that serves a step interrupts too
        ("a0 b1 b2 c3", "a b c", times(0, 1)),
        ("a0 b1 b1 c3", "a b c", times(0, 1, 3)),
        ("a0 b1 x2", "a b c", times(0, 1)),
        ("x0 a1 b2 x3", "a b", times(1, 2)),
        ("a0/p x1/q b2/p", "a b", times(0)),  # interruptions need not carry the values held
        ("a0/p x1/- b2/p", "a b", times(0)),
    ],
)
def test_strict_chains_let_nothing_come_between(history: str, steps: str, expected: Times) -> None:
    assert decided(history, steps, order="strict") == expected


@pytest.mark.parametrize(
    ("history", "steps", "expected"),
    [
        ("c0 a1 b2", "a b c", times(0, 1, 2)),
        ("c0", "a b c", times(0)),
        ("x0", "a b c", None),
        ("a0", "a a", times(0)),
        ("a0 a1", "a a", times(0, 1)),
        ("a0 a1", "a b", times(0)),
        ("a0 b1", "ab a", times(0, 1)),  # b serves step 1 and so leaves a for step 2
        ("a0 b1", "a ab", times(0, 1)),
        ("a0 b5 a6 c14", "a b c", times(5, 6, 14)),  # the second attempt has events of the first
        ("a0 b10 c10.001", "a b c", times(0, 10)),
        ("c10 b9 a0", "a b c", times(0, 9, 10)),
        ("a0 b3 b2 c9", "a b c", times(0, 2, 9)),
        ("a0 b0 c0", "a b c", times(0, 0, 0)),
    ],
)
def test_any_order_counts_the_steps_served_inside_a_window_of_any_of_them(
    history: str, steps: str, expected: Times | None
) -> None:
    assert decided(history, steps, order="any") == expected


@pytest.mark.parametrize(
    ("history", "steps", "span", "expected"),
    [
        ("a0 x1 b2", "a b", (1, 2), times(0)),
        ("a0 x0 b2", "a b", (1, 2), times(0, 2)),  # strictly after the one
        ("a0 x2 b2", "a b", (1, 2), times(0, 2)),  # and strictly before the other
        ("x0 a1 b2 x3", "a b", (1, 2), times(1, 2)),
        ("a0 x1 a2 b3", "a b", (1, 2), times(2, 3)),  # another entry
        ("a0 b1 x2 b3 c4", "a b c", (2, 3), times(0, 3, 4)),  # another event for step 2
        ("a0 x1 b2 c3", "a b c", (2, 3), times(0, 2, 3)),
        ("a0 x1 b2 c3", "a b c", (1, 2), times(0)),
        ("a0 b1 x2 c3", "a b c", (1, 2), times(0, 1, 3)),
        ("a0 b1 x2 c3", "a b c", (1, 3), times(0, 1)),
        ("a0 b1 x1 c2", "a b c", (1, 3), times(0, 1)),  # at the time of a step between
        ("a0 b2 x1", "a b c", (1, 3), times(0)),  # the chain as far as it reaches
        # An event that serves the chain does not exclude it, another of the kind does.
        ("a0 b1 c2", "a b c", (1, 3), times(0, 1, 2)),
        ("a0 b1 b1.5 c2", "a b c", (1, 3), times(0, 1)),
    ],
)
def test_a_chain_stops_at_an_exclusion_unless_it_finds_another_way(
    history: str, steps: str, span: tuple[int, int], expected: Times
) -> None:
    excluding = "x" if "x" in history else "b"
    assert decided(history, steps, exclusions={excluding: span}) == expected


@pytest.mark.parametrize(
    ("history", "steps", "span", "expected"),
    [
        ("a0 x1 b2", "a b", (1, 2), None),
        ("a0 x1", "a b", (1, 2), None),  # x follows, b is not reached
        ("a0 x10", "a b", (1, 2), None),
        ("a0 x10.001", "a b", (1, 2), times(0)),  # outside the window
        ("a0 x0", "a b", (1, 2), times(0)),
        ("a0 b1 x2", "a b", (1, 2), times(0, 1)),  # after completion
        ("a0 b1 x2", "a b c", (1, 2), times(0, 1)),
        ("a0 b1 x2", "a b c", (2, 3), None),
        ("a0 x1", "a b c", (2, 3), times(0)),  # step 2 was not reached
        ("a0 x1 a2 b3", "a b", (1, 2), times(2, 3)),  # a clean entry as deep
        ("a0 b1 x2 c3 a20 b21", "a b c", (2, 3), None),  # the dirty entry is deeper
        ("a0 x1 a20 b21", "a b", (1, 2), times(20, 21)),  # the clean entry is deeper
        ("a0 b1 x2 b3", "a b c", (2, 3), times(0, 3)),  # nothing follows the second b
        ("a0/p x1/q b2/p", "a b", (1, 2), times(0, 2)),
        ("a0/p x1/p b2/p", "a b", (1, 2), None),
    ],
)
def test_a_dirty_entry_takes_the_actor_out_unless_a_clean_one_is_as_deep(
    history: str, steps: str, span: tuple[int, int], expected: Times | None
) -> None:
    assert decided(history, steps, exclusions={"x": span}, effect="disqualify") == expected


@pytest.mark.parametrize(
    ("history", "steps", "effect", "expected"),
    [
        ("a0 x1 b2", "a b", "stop", times(0)),
        ("b0 a1 x2 c3", "a b c", "stop", times(0, 1)),
        ("b0 a1 c1 x1", "a b c", "stop", times(0, 1, 1)),
        ("a0 x1 b2", "a b", "disqualify", times(2)),  # the attempt of b is clean
        ("a0 x1", "a b", "disqualify", None),
        ("a0 b1 x2", "a b", "disqualify", times(0, 1)),
        # Entries a0 and b1 are void, however deep; nothing follows c3, and a20 gets deeper.
        ("a0 b1 x2 c3 a20 b21", "a b c", "disqualify", times(20, 21)),
    ],
)
def test_in_any_order_an_exclusion_spans_the_funnel_and_voids_only_its_attempt(
    history: str, steps: str, effect: str, expected: Times | None
) -> None:
    exclusions = {"x": (1, len(steps.split()))}
    assert decided(history, steps, order="any", exclusions=exclusions, effect=effect) == expected


def test_an_exclusion_that_serves_an_any_order_chain_does_not_break_it() -> None:
    # b2 may serve step 2 as well as b1 does; only with it is nothing left between a0 and c3 that excludes.
    assert decided("a0 d1 b2 c3", "a bd c", order="any", exclusions={"b": (1, 3)}) == times(0, 2, 3)


@pytest.mark.parametrize(
    ("history", "order", "expected"),
    [
        ("a0/p b1/q b2/p", "ordered", times(0, 2)),
        ("a0/p b1/q", "ordered", times(0)),
        ("a0/- b1/-", "ordered", None),  # what lacks the value serves no step
        ("a0/p b1/-", "ordered", times(0)),
        ("a0/p a1/q b2/q", "ordered", times(1, 2)),
        ("a0/p a1/q b2/q", "any", times(1, 2)),
        ("a0/- b1/p", "any", times(1)),
    ],
)
def test_the_values_held_are_the_same_along_the_steps(history: str, order: str, expected: Times | None) -> None:
    assert decided(history, "a b", order=order) == expected


@pytest.mark.parametrize(
    ("history", "steps", "expected"),
    [
        ("a0 c1", "a b? c", {1: 0, 3: 1}),
        ("a0 b1 c2", "a b? c", {1: 0, 2: 1, 3: 2}),
        ("a0 c1 b2 c3", "a b? c", {1: 0, 2: 2, 3: 3}),  # more optional steps before earlier times
        ("a0 c5 b6", "a b? c", {1: 0, 3: 5}),  # more required steps before optional ones
        ("a0 b1", "a b? c", {1: 0, 2: 1}),
        ("a0 b1", "a b?", {1: 0, 2: 1}),
        ("a0 c1", "a b c?", {1: 0}),  # no required step is passed over
        ("a0 c1 b2 d3", "a b? c? d", {1: 0, 3: 1, 4: 3}),  # as many steps, but earlier
        ("a0 b1 c1 d3", "a bc? c? d", {1: 0, 2: 1, 3: 1, 4: 3}),
        ("a0 b1 d3", "a b? b? d", {1: 0, 2: 1, 4: 3}),  # as early: the smaller steps
        ("a0 a5 b6 c7", "a b? c", {1: 0, 2: 6, 3: 7}),
        ("a0 c10 a11 b12", "a b? c", {1: 0, 3: 10}),
    ],
)
def test_optional_steps_are_taken_where_they_cost_no_required_one(history: str, steps: str, expected: Times) -> None:
    assert decided(history, steps) == expected


# Answers: events of several actors, names such as a, at seconds of the first of January.

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
DAY = 86_400


def events(**histories: str) -> list[Event]:
    """Return the events of users; each is written `a5`, or `a5=p` with the value p of properties.v, `a5=p=q` with the
    value q of properties.w too; `-` for no value. Later ones have the greater message ids."""
    found: list[Event] = []
    for user, history in histories.items():
        for place, text in enumerate(history.split()):
            event, *values = text.split("=")
            at = round(BEGIN.timestamp() * 1000 + float(event[1:]) * 1000)
            properties = {name: value for name, value in zip("vw", values, strict=False) if value != "-"}
            found.append(
                {
                    "table": "track", "message_id": f"{user}{place:03}", "user_id": user, "anonymous_id": "",
                    "timestamp": at, "received_at": at, "event": event[0], "name": "", "group_id": "",
                    "properties": properties, "traits": {}, "context": {},
                }
            )  # fmt: skip
    return found


def funnel(sent: list[Event], steps: str = "a b", *, to: float = 100, zone: str = "UTC", **request: Any) -> Funnel:
    """Return a funnel from the start of the year until `to` seconds later; without a window it is 10 s. `steps`: names,
    `b?` an optional one."""
    asked = [{"names": [name[0]], "optional": name.endswith("?")} for name in steps.split()]
    start = round(BEGIN.timestamp() * 1000)
    end = start + round(to * 1000)
    interval = request.get("trend")
    return Funnel(
        request={"steps": asked, "window": 10, **request},
        pairs=series.keyed(sent, UUID(int=1), "user_id"),
        start=start,
        end=end,
        as_of=datetime(2024, 6, 1, tzinfo=UTC),
        zone=zone,
        intervals=funnel_answer.intervals(start, end, interval, zone, "monday") if interval else (),
    )


def counts(asked: Funnel) -> dict[Any, list[int]]:
    """Return the counts of each group's steps, by the group's values, `other`, or None for the whole."""
    return {
        ("other" if group["group"]["other"] else tuple(group["group"]["values"])) if group["group"] else None: [
            step["count"] for step in group["steps"]
        ]
        for group in funnel_answer.data(asked)
    }


def test_rates_compare_with_the_step_before_and_the_first() -> None:
    sent = events(u="a0 b1 c2", v="a0 b1", w="a0", x="a0 b50", y="b0")
    (whole,) = funnel_answer.data(funnel(sent, "a b c", times=True))
    shown = [(step["count"], step["from_previous"], step["from_first"], step["dropped"]) for step in whole["steps"]]
    assert shown == [(4, None, 1.0, None), (2, 0.5, 0.5, 2), (1, 0.5, 0.25, 1)]
    assert [step["label"] for step in whole["steps"]] == ["a", "b", "c"]
    assert whole["steps"][1]["seconds_from_first"] == {"mean": 1, "median": 1, "p90": 1}
    assert whole["steps"][2]["seconds_from_first"] == {"mean": 2, "median": 2, "p90": 2}
    assert whole["steps"][2]["seconds_from_previous"] == {"mean": 1, "median": 1, "p90": 1}
    assert whole["steps"][0]["seconds_from_first"] is None


def test_rates_over_nobody_are_null() -> None:
    (whole,) = funnel_answer.data(funnel(events(u="b0"), times=True))
    first, second = whole["steps"]
    assert (first["count"], first["from_first"], second["from_first"], second["from_previous"]) == (0, None, None, None)
    assert (second["dropped"], second["seconds_from_first"]) == (0, None)


def test_an_optional_step_and_the_next_compare_with_the_last_required_one() -> None:
    sent = events(u="a0 b1 c3", v="a0 c1", w="a0 b2")
    (whole,) = funnel_answer.data(funnel(sent, "a b? c", times=True))
    shown = [(step["count"], step["from_previous"], step["dropped"]) for step in whole["steps"]]
    assert shown == [(3, None, None), (2, 2 / 3, 1), (2, 2 / 3, 1)]
    # c: 3 s after a for u, 1 s for v, whether b was there or not.
    assert whole["steps"][2]["seconds_from_previous"] == {"mean": 2, "median": 2, "p90": pytest.approx(2.8)}


def test_conversions_after_the_range_count_for_entries_and_not_for_all_steps() -> None:
    sent = events(u="a9 b12", v="a9 b9.5", w="a10 b11")
    assert counts(funnel(sent, to=10)) == {None: [2, 2]}
    assert counts(funnel(sent, to=10, range="all_steps")) == {None: [2, 1]}


def test_the_requests_predicate_applies_to_interruptions_too() -> None:
    sent = events(u="a0=p x1=q b2=p")
    assert counts(funnel(sent, order="strict")) == {None: [1, 0]}
    asked = {"op": "eq", "field": "properties.v", "value": "p"}
    assert counts(funnel(sent, order="strict", where=asked)) == {None: [1, 1]}


@pytest.mark.parametrize(
    ("attribution", "expected"),
    [
        ({"attribution": "first_touch"}, {("p",): [2, 1], ("r",): [1, 0], (None,): [1, 0]}),
        ({"attribution": "last_touch"}, {(None,): [1, 0], ("q",): [1, 1], ("r",): [1, 0], ("s",): [1, 0]}),
        # u's deciding chain is a0 b2; v and w never reach step 2, y has no value there.
        ({"attribution": "step", "step": 2}, {("q",): [1, 1]}),
        ({"attribution": "step", "step": 1}, {(None,): [2, 1], ("p",): [1, 0], ("r",): [1, 0]}),
        # Each value over its own events: u never enters with p or q; with null it enters and stays.
        ({"attribution": "all_events"}, {(None,): [2, 0], ("p",): [1, 0], ("r",): [1, 0], ("s",): [1, 0]}),
    ],
)
def test_an_actor_stands_under_the_value_that_the_attribution_says(
    attribution: dict[str, Any], expected: dict[Any, list[int]]
) -> None:
    # b of u lies before its entry: a step event all the same. x is no step event.
    sent = events(u="b0=p a1 x2=z b3=q", v="a0=r", w="a0=p a20=s", y="a0")
    breakdown = {"by": ["properties.v"], **attribution}
    found = counts(funnel(sent, breakdown=breakdown))
    assert found == expected
    assert list(found) == sorted(found, key=lambda values: (-found[values][0], values[0] is not None, values[0] or ""))


def test_a_touch_is_the_first_event_in_which_some_part_has_a_value() -> None:
    sent = events(u="a0 b1=-=q a2=p=-", v="a0 b1")
    breakdown = {"by": ["properties.v", "properties.w"]}
    assert counts(funnel(sent, breakdown=breakdown)) == {(None, None): [1, 1], (None, "q"): [1, 1]}


def test_of_chains_with_equal_times_the_one_whose_events_come_first_decides() -> None:
    sent = events(u="a0=p a0=q b1=r b1=s")
    for step, value in ((1, "p"), (2, "r")):
        breakdown = {"by": ["properties.v"], "attribution": "step", "step": step}
        assert counts(funnel(sent, breakdown=breakdown)) == {(value,): [1, 1]}
    # Were step 2 served by the first a, its time would be as early: the chain with the smaller first event is taken.
    breakdown = {"by": ["properties.v"], "attribution": "step", "step": 2}
    assert counts(funnel(sent, "a a", breakdown=breakdown)) == {("q",): [1, 1]}


def test_with_fields_held_only_events_that_have_them_touch() -> None:
    sent = events(u="a0=p a1=q=h b2=r=h")
    asked = funnel(sent, breakdown={"by": ["properties.v"]}, holding=["properties.w"])
    assert counts(asked) == {("q",): [1, 1]}


def test_groups_beyond_the_limit_are_one() -> None:
    sent = events(u="a0=p b1", v="a0=p", w="a0=q b1", x="a0 b1", y="a0=r")
    assert counts(funnel(sent, breakdown={"by": ["properties.v"], "limit": 2})) == {
        ("p",): [2, 1],
        (None,): [1, 1],
        "other": [2, 1],
    }


def test_the_other_values_of_events_are_one_funnel() -> None:
    # w enters with q and goes on with r; alone neither value gets it to step 2.
    sent = events(u="a0=p b1=p", v="a0=p", w="a0=q b1=r")
    breakdown = {"by": ["properties.v"], "limit": 1, "attribution": "all_events"}
    assert counts(funnel(sent, breakdown=breakdown)) == {("p",): [2, 1], "other": [1, 1]}
    # A value that nobody entered with is no group, so nothing is beyond the limit here.
    assert counts(funnel(events(u="a0=p b1=p", w="a0=p b1=r"), breakdown=breakdown)) == {("p",): [2, 1]}


def test_numbers_in_a_breakdown_fall_into_buckets() -> None:
    part = {"kind": "buckets", "field": "properties.v", "bounds": [1, 2.5]}
    sent = events(u="a0=0", v="a0=1", w="a0=2.5", x="a0=z", y="a0=2.4")
    found = counts(funnel(sent, "a", breakdown={"by": [part]}))
    assert found == {("1..2.5",): [2], (None,): [1], ("<1",): [1], (">=2.5",): [1]}


def test_in_each_interval_an_actor_counts_by_its_entries_there() -> None:
    hour = 3_600
    sent = events(u=f"a0 a{DAY} b{DAY + 1}", v=f"a{DAY - 5} b{DAY + 4}", w=f"a{DAY - hour} b{2 * DAY}")
    (whole,) = funnel_answer.data(funnel(sent, to=2 * DAY, trend="day"))
    assert [step["count"] for step in whole["steps"]] == [3, 2]
    # v converts on the second day and counts on the first, when it began.
    assert whole["trend"] == [
        {"start": "2024-01-01T00:00:00+00:00", "counts": [3, 1]},
        {"start": "2024-01-02T00:00:00+00:00", "counts": [1, 1]},
    ]


def test_an_entry_disqualifies_only_in_its_own_interval() -> None:
    sent = events(u=f"a0 x1 b2 a{DAY}")
    excluded = {"exclusions": [{"names": ["x"]}], "effect": "disqualify"}
    (whole,) = funnel_answer.data(funnel(sent, to=2 * DAY, trend="day", **excluded))
    assert [step["count"] for step in whole["steps"]] == [0, 0]
    assert [point["counts"] for point in whole["trend"]] == [[0, 0], [1, 0]]


def test_in_the_trend_of_a_group_an_actor_stands_where_it_does_in_the_whole() -> None:
    sent = events(u=f"a0=p a{DAY}=q b{DAY + 1}=q")
    (group,) = funnel_answer.data(funnel(sent, to=2 * DAY, trend="day", breakdown={"by": ["properties.v"]}))
    assert group["group"] == {"values": ["p"], "other": False}
    assert [point["counts"] for point in group["trend"]] == [[1, 0], [1, 1]]


def test_intervals_are_those_of_the_local_clock() -> None:
    def at(text: str) -> int:
        return round(datetime.fromisoformat(text).timestamp() * 1000)

    berlin = funnel_answer.intervals(at("2024-03-30T12:00Z"), at("2024-04-01T12:00Z"), "day", "Europe/Berlin", "monday")
    assert [funnel_answer.label(instant, "Europe/Berlin") for instant in berlin] == [
        "2024-03-30T00:00:00+01:00",
        "2024-03-31T00:00:00+01:00",
        "2024-04-01T00:00:00+02:00",
        "2024-04-02T00:00:00+02:00",
    ]
    hours = funnel_answer.intervals(at("2024-10-27T00:30Z"), at("2024-10-27T02:00Z"), "hour", "Europe/Berlin", "monday")
    assert [funnel_answer.label(instant, "Europe/Berlin")[11:] for instant in hours] == [
        "02:00:00+02:00",
        "02:00:00+01:00",
        "03:00:00+01:00",
    ]
    weeks = funnel_answer.intervals(at("2024-05-01T00:00Z"), at("2024-05-05T00:00Z"), "week", "UTC", "sunday")
    assert [funnel_answer.label(instant, "UTC")[:10] for instant in weeks] == ["2024-04-28", "2024-05-05"]
    assert funnel_answer.intervals(5, 5, "day", "UTC", "monday") == ()


@pytest.mark.parametrize(
    ("seconds", "bins", "expected"),
    [
        ([1, 2, 10], None, [(1, 6, 2), (6, 11, 1), (11, 16, 0)]),
        ([5], None, [(5, 65, 1), (65, 125, 0)]),
        ([5, 5], 1, [(5, 65, 2), (65, 125, 0)]),
        ([0, 9], 3, [(0, 3, 1), (3, 6, 0), (6, 9, 0), (9, 12, 1)]),
        ([0.5, 1.25], None, [(0.5, 1.5, 2), (1.5, 2.5, 0), (2.5, 3.5, 0)]),
        ([], None, []),
    ],
)
def test_the_histogram_has_whole_seconds_and_a_closing_bin(
    seconds: list[float], bins: int | None, expected: list[tuple[float, float, int]]
) -> None:
    found = funnel_answer.histogram([round(value * 1000) for value in seconds], bins)
    assert [(one["start"], one["end"], one["count"]) for one in found] == expected


def test_eight_conversions_fall_into_two_bins_and_nine_into_three() -> None:
    assert len(funnel_answer.histogram([1000] * 8, None)) == 2 + 1
    assert len(funnel_answer.histogram([1000] * 9, None)) == 3 + 1


def test_quantiles_interpolate_linearly() -> None:
    assert funnel_answer.described([1000, 2000, 3000, 10_000]) == {
        "mean": 4,
        "median": 2.5,
        "p90": pytest.approx(7.9),
    }


def test_lists_hold_those_behind_a_number() -> None:
    sent = events(u="a0=p b1", v="a0=p", w=f"a0=q a{DAY} b{DAY + 1}")
    asked = funnel(sent, to=2 * DAY, trend="day")
    u, v, w = (("user", name) for name in "uvw")
    assert asked.listed(1) == {u, v, w}
    assert asked.listed(2) == {u, w}
    assert asked.listed(2, dropped=True) == {v}
    assert asked.listed(2, dropped=True, point=0) == {v, w}
    assert asked.listed(2, point=1) == {w}
    split = funnel(sent, to=2 * DAY, breakdown={"by": ["properties.v"]})
    assert split.listed(2, group=Group(("p",))) == {u}
    assert split.listed(2, dropped=True, group=Group(("p",))) == {v}
