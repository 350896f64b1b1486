"""Which events a chain is made of: of each timestamp, the first ones in order that can serve its run."""

from __future__ import annotations

from collections.abc import Sequence

from services.query.analysis.funnel.exact.matching import bits, independent, servable
from services.query.analysis.funnel.exact.moments import Moments
from services.query.analysis.funnel.exact.ordered import Walk
from services.query.analysis.funnel.exact.rules import Event, Rules


def members_of(
    walk: Walk, moments: Moments, events: Sequence[Event], rules: Rules, *, entry: int | None = None
) -> tuple[int, ...]:
    """Return the indices of a chain's events. `entry`: the chain begins with this one, and nothing may follow it."""
    found: list[int] = []
    start = 0
    for number, (index, steps) in enumerate(walk.visits):
        lasting = 0
        if number < len(walk.visits) - 1 or entry is not None:
            lasting = bits(
                place for place, (first, last) in enumerate(rules.exclusions, 1) if first <= start and steps[-1] < last
            )
        members = moments.members[index]
        if entry is not None and number == 0:
            found.append(entry)
            members = [member for member in members if member != entry]
            steps = steps[1:]
        found += _serving(members, steps, events, lasting)
        start = walk.visits[number][1][-1]
    return tuple(found)


def _serving(members: Sequence[int], steps: Sequence[int], events: Sequence[Event], lasting: int) -> list[int]:
    """Return for each step its event, such that all events that `lasting` exclusions mean are among them."""
    chosen: list[int] = []
    rest = list(members)
    for number, step in enumerate(steps):
        following = steps[number + 1 :]
        for member in rest:
            others = [other for other in rest if other != member]
            if (
                events[member].steps >> (step - 1) & 1
                and servable(following, [events[other].steps for other in others])
                and independent(
                    events[other].steps & bits(following) for other in others if events[other].exclusions & lasting
                )
            ):
                chosen.append(member)
                rest = others
                break
    return chosen
