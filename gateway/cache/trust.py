"""Whether this gateway hears of drops, and since when without a gap."""

from __future__ import annotations

import math
import time

from gateway.cache.drops import Drop, DropLog
from gateway.cache.entry import Entry
from gateway.cache.memory import Memory


class Trust:
    """Ties the drop log and the memory level to the connection that drops arrive on.

    While nothing is heard the memory level is skipped. Entries Redis kept from before the present connection may have
    missed their drop: those with tags are not used, those with a closed range no longer than open ones.
    """

    def __init__(self, memory: Memory, log: DropLog):
        self._memory = memory
        self.log = log
        self._since = math.inf

    @property
    def hearing(self) -> bool:
        """Whether drops arrive."""
        return self._since != math.inf

    def heard(self) -> None:
        """The subscriptions are in place, from now on nothing is missed."""
        self._gap(time.time())

    def deaf(self) -> None:
        """The connection is gone."""
        self._gap(math.inf)

    def missed(self) -> None:
        """Messages were lost, though the connection stands."""
        if self.hearing:
            self._gap(time.time())

    def dropped(self, drop: Drop) -> None:
        """Take a drop."""
        self.log.add(drop)
        self._memory.drop(drop, time.time())

    def accepts(self, entry: Entry, now: float, open_ttl: int) -> bool:
        """Whether an entry from Redis may be served. `open_ttl`: seconds an open range may be old."""
        if entry.policy is None or not entry.fresh(now):
            return False
        if entry.stored_at >= self._since:
            return True
        return not entry.policy.tags and entry.age(now) < open_ttl

    def _gap(self, since: float) -> None:
        self._since = since
        self.log.gap()
        self._memory.clear()
