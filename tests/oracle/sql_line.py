"""The discipline of the line for custom SQL, told plainly: everything is a list that is searched from its beginning."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class PlainLine:
    """Who runs (`running`) and who waits (`waiting`), as (workspace, ticket) in the order in which they came.

    `since`: for a workspace that waits, the moment its turn is counted from: when it began to wait, or was last served.
    """

    places: int
    each: int
    most: int
    most_each: int
    running: list[tuple[str, int]] = field(default_factory=list)
    waiting: list[tuple[str, int]] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)
    clock: int = 0

    def join(self, workspace: str, ticket: int) -> list[int] | None:
        """Return who is admitted, None when the ticket is refused."""
        self.waiting.append((workspace, ticket))
        if len([each for each in self.waiting if each[0] == workspace]) == 1:
            self._turn(workspace)
        admitted = self._serve()
        if ticket in admitted:
            return admitted
        own = [each for each in self.waiting if each[0] == workspace]
        if len(own) > self.most_each or len(self.waiting) > self.most:
            self.waiting.remove((workspace, ticket))
            return None
        return admitted

    def leave(self, workspace: str, ticket: int) -> list[int]:
        """Return who is admitted instead."""
        for those in (self.running, self.waiting):
            if (workspace, ticket) in those:
                those.remove((workspace, ticket))
        return self._serve()

    def _serve(self) -> list[int]:
        admitted = []
        while len(self.running) < self.places:
            able = {name for name, _ in self.waiting if self._runs(name) < self.each}
            if not able:
                break
            chosen = min(able, key=lambda name: (self._runs(name), self.since[name]))
            ticket = next(ticket for name, ticket in self.waiting if name == chosen)
            self.waiting.remove((chosen, ticket))
            self.running.append((chosen, ticket))
            self._turn(chosen)
            admitted.append(ticket)
        return admitted

    def _runs(self, workspace: str) -> int:
        return len([name for name, _ in self.running if name == workspace])

    def _turn(self, workspace: str) -> None:
        self.clock += 1
        self.since[workspace] = self.clock
