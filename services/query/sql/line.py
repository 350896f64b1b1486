"""Who runs next: the places for custom SQL of one process and the line for them, without a clock or a task.

A free place goes to the workspace that runs the fewest statements of those that wait and may run another; among equals
they take turns. Within a workspace it is first come, first served.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Ticket = TypeVar("Ticket")


class Line(Generic[Ticket]):
    """Tickets of workspaces that run or wait. `admit` after each `join` and `leave` keeps no place empty in vain."""

    def __init__(self, places: int, each: int, most: int, most_each: int) -> None:
        """`places`: statements that run at once, `each`: those of one workspace; `most` and `most_each`: the same of
        those that wait."""
        self._places, self._each = places, each
        self._most, self._most_each = most, most_each
        self._running: Counter[Hashable] = Counter()
        # In the order of their turns: whoever was served goes behind the others.
        self._waiting: dict[Hashable, deque[Ticket]] = {}

    def join(self, workspace: Hashable, ticket: Ticket) -> bool:
        """Go to the end of the workspace's line; False when that is full, and all places it might have are taken."""
        waiting = self._waiting.get(workspace, ())
        if not self._is_free(workspace) and (
            len(waiting) >= self._most_each or sum(map(len, self._waiting.values())) >= self._most
        ):
            return False
        self._waiting.setdefault(workspace, deque()).append(ticket)
        return True

    def admit(self) -> list[Ticket]:
        """Give the free places away; return the tickets that have got one, in that order."""
        admitted = []
        while able := [workspace for workspace in self._waiting if self._is_free(workspace)]:
            workspace = min(able, key=self._running.__getitem__)
            waiting = self._waiting.pop(workspace)
            admitted.append(waiting.popleft())
            self._running[workspace] += 1
            if waiting:
                self._waiting[workspace] = waiting
        return admitted

    def leave(self, workspace: Hashable, ticket: Ticket) -> None:
        """Give up a ticket that has joined and not left: its place in the line, or the place it was admitted to."""
        waiting = self._waiting.get(workspace, deque())
        if ticket in waiting:
            waiting.remove(ticket)
            if not waiting:
                del self._waiting[workspace]
            return
        self._running[workspace] -= 1
        if not self._running[workspace]:
            del self._running[workspace]

    def _is_free(self, workspace: Hashable) -> bool:
        return self._running.total() < self._places and self._running[workspace] < self._each
