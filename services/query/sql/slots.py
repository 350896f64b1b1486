"""Places for statements of custom SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts.errors import TooManyRequests

WORKSPACE_SLOTS: Final = 4
"""Statements of one workspace that one process runs at once."""


@dataclass(slots=True)
class Slots:
    """How many statements of each workspace run here: one tenant's do not take every place."""

    each: int = WORKSPACE_SLOTS
    running: Counter[UUID] = field(default_factory=Counter)

    @contextmanager
    def take(self, workspace: UUID) -> Iterator[None]:
        """Hold a place.

        Raises:
            TooManyRequests: the workspace has none left.
        """
        if self.running[workspace] >= self.each:
            raise TooManyRequests(f"the workspace runs {self.each} statements already", retry_after=1)
        self.running[workspace] += 1
        try:
            yield
        finally:
            self.running[workspace] -= 1
            if not self.running[workspace]:
                del self.running[workspace]
