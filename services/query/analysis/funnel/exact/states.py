"""Where a chain can stand: the step reached last and how many optional ones it has, as one small number."""

from __future__ import annotations

from functools import cached_property

from services.query.analysis.funnel.exact.rules import Rules

NEVER = -(2**63)
"""Before every time."""
ALWAYS = 2**63
"""After every time."""


class States:
    """State `step * width + optional`; state 0 is that of a chain not begun."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.width = len(rules.optional) + 1
        self.count = (rules.steps + 1) * self.width

    @cached_property
    def worth(self) -> tuple[int, ...]:
        """Return how much a chain in each state is worth: required steps first, then optional ones."""
        return tuple(
            self._rules.required[state // self.width] * self.width + state % self.width for state in range(self.count)
        )

    @cached_property
    def blocked(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each set of exclusions (bits), the states of chains that cannot pass an event of them."""
        return tuple(
            tuple(
                step * self.width + optional
                for step in range(1, self._rules.steps + 1)
                if any(
                    exclusions >> number & 1 and first <= step < last
                    for number, (first, last) in enumerate(self._rules.exclusions)
                )
                for optional in range(self.width)
            )
            for exclusions in range(1 << len(self._rules.exclusions))
        )
