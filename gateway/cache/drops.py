"""Which kept answers new facts make wrong, and the log that keeps a late answer from undoing a drop."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from contracts.caching import CacheDrop, CachePolicy
from contracts.durable import EventsIngested

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Drop(NamedTuple):
    """Entries of a workspace to forget. `start` and `end` (both inclusive, milliseconds of event time; null:
    unbounded) count when `ranged`."""

    workspace: str
    tags: frozenset[str]
    ranged: bool
    start: int | None = None
    end: int | None = None

    def hits(self, policy: CachePolicy) -> bool:
        """Whether an answer under this policy is no longer right.

        Answers whose range is open are left alone by new events: by contract they are at most a time to live old.
        """
        if not self.tags.isdisjoint(policy.tags):
            return True
        if not (self.ranged and policy.closed):
            return False
        ends_before = policy.end is not None and self.start is not None and policy.end <= self.start
        starts_after = policy.start is not None and self.end is not None and policy.start > self.end
        return not (ends_before or starts_after)

    def leaves(self, policy: CachePolicy) -> int:
        """Return for how many seconds, from its computation, an answer under this policy may still be kept; 0 when it
        is no longer right. Events of any time shorten the life of what shows actors: they may link them anew."""
        if self.hits(policy):
            return 0
        if self.ranged and policy.ttl_after_events is not None:
            return min(policy.ttl, policy.ttl_after_events)
        return policy.ttl


def from_cache_drop(message: CacheDrop) -> Drop:
    """Translate the control message. Without a tag and without a range it means every closed range."""
    ranged = message.start is not None or message.end is not None or not message.tags
    return Drop(str(message.workspace_id), frozenset(message.tags), ranged, message.start, message.end)


def from_ingested(event: EventsIngested) -> Drop:
    """Translate the durable event: the rows lie between its two times."""
    return Drop(str(event.workspace_id), frozenset(), True, _milliseconds(event.from_), _milliseconds(event.to))


def droppable(policy: CachePolicy) -> bool:
    """Whether any drop can ever hit an answer under this policy."""
    return policy.closed or bool(policy.tags)


def _milliseconds(moment: datetime) -> int:
    # In whole numbers: seconds as a double, times 1000, fall a little short of many a millisecond.
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1)


class DropLog:
    """The latest drops, numbered. Whoever computes an answer notes the `epoch` first and asks what is left since
    then before keeping it: a drop that arrived in between may have been about rows the answer did not see."""

    def __init__(self, capacity: int = 4_096):
        self._drops: deque[tuple[int, Drop]] = deque(maxlen=capacity)
        self._floor = 0
        self.epoch = 0
        """Number of the latest drop."""

    def add(self, drop: Drop) -> None:
        """Record a drop."""
        self.epoch += 1
        if len(self._drops) == self._drops.maxlen:
            self._floor = self._drops[0][0]
        self._drops.append((self.epoch, drop))

    def gap(self) -> None:
        """Record that drops may have been missed: nothing droppable that was begun before may be kept."""
        self.epoch += 1
        self._floor = self.epoch
        self._drops.clear()

    def left(self, epoch: int, workspace: str, policy: CachePolicy) -> int:
        """Return how many seconds of life the drops after `epoch` leave an answer under this policy, 0 when one hits it
        or may have."""
        life = policy.ttl
        if not droppable(policy):
            return life
        if epoch < self._floor:
            return 0
        for number, drop in reversed(self._drops):
            if number <= epoch or life == 0:
                break
            if drop.workspace == workspace:
                life = min(life, drop.leaves(policy))
        return life
