"""The first level: a least-recently-used map in this process, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import TypeVar

from gateway.cache.drops import Drop, droppable
from gateway.cache.entry import Entry
from gateway.cache.keys import CanonicalKey, RawKey

_Index = TypeVar("_Index", str, tuple[str, str])
_ALIAS_BYTES = 250
_LARGEST_SHARE = 8
"""One entry takes at most this fraction (1/n) of the cache."""


class _Slot:
    __slots__ = ("aliases", "counted", "entry", "size")

    def __init__(self, entry: Entry):
        self.entry = entry
        self.aliases: list[RawKey] = []
        self.counted = self.size = entry.size


class Memory:
    """Entries by canonical request, and by the raw bodies that led to them. Not for threads."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._slots: OrderedDict[CanonicalKey, _Slot] = OrderedDict()
        self._aliases: dict[RawKey, CanonicalKey] = {}
        self._droppable: defaultdict[str, set[CanonicalKey]] = defaultdict(set)
        self._tagged: defaultdict[tuple[str, str], set[CanonicalKey]] = defaultdict(set)
        self.bytes = 0
        """Bytes held now."""
        self.evictions = 0
        """Entries that had to leave for others, since the start."""

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, raw: RawKey, now: float) -> Entry | None:
        """Return the entry for these very bytes, if it is here and still holds."""
        key = self._aliases.get(raw)
        return None if key is None else self.get(key, now)

    def get(self, key: CanonicalKey, now: float) -> Entry | None:
        """Return the entry for this request, if it is here and still holds."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        if not slot.entry.fresh(now):
            self._remove(key)
            return None
        self._slots.move_to_end(key)
        if (size := slot.entry.size) != slot.counted:  # its compressed variant was made since
            self._grow(slot, size - slot.counted)
            slot.counted = size
        return slot.entry

    def put(self, key: CanonicalKey, entry: Entry) -> None:
        """Keep an entry, dropping the least recently used ones when there is no room."""
        self._remove(key)
        if entry.policy is None or entry.size * _LARGEST_SHARE > self._capacity:
            return
        slot = self._slots[key] = _Slot(entry)
        self.bytes += slot.size
        if droppable(entry.policy):
            self._droppable[key.workspace].add(key)
        for tag in entry.policy.tags:
            self._tagged[key.workspace, tag].add(key)
        self._shrink()

    def alias(self, raw: RawKey, key: CanonicalKey) -> None:
        """Let these bytes find the entry of `key` from now on. The alias counts into the entry's size."""
        slot = self._slots.get(key)
        if slot is None or raw in self._aliases:
            return
        self._aliases[raw] = key
        slot.aliases.append(raw)
        self._grow(slot, len(raw.body) + _ALIAS_BYTES)

    def drop(self, drop: Drop, now: float) -> None:
        """Forget what the drop hits, and shorten the life of what it leaves for less."""
        if drop.ranged:
            keys = set(self._droppable.get(drop.workspace, ()))
        else:  # found by tag: profiles change by the thousand, and each of them may have its own entries
            keys = {key for tag in drop.tags for key in self._tagged.get((drop.workspace, tag), ())}
        for key in keys:
            entry = self._slots[key].entry
            if entry.policy is not None:
                entry.shorten(drop.leaves(entry.policy))
            if not entry.fresh(now):
                self._remove(key)

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self._aliases.clear()
        self._droppable.clear()
        self._tagged.clear()
        self.bytes = 0

    def _grow(self, slot: _Slot, by: int) -> None:
        slot.size += by
        self.bytes += by
        self._shrink()

    def _shrink(self) -> None:
        while self.bytes > self._capacity:
            self._remove(next(iter(self._slots)))
            self.evictions += 1

    def _remove(self, key: CanonicalKey) -> None:
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self.bytes -= slot.size
        for raw in slot.aliases:
            del self._aliases[raw]
        _discard(self._droppable, key.workspace, key)
        for tag in slot.entry.policy.tags if slot.entry.policy is not None else ():
            _discard(self._tagged, (key.workspace, tag), key)


def _discard(index: dict[_Index, set[CanonicalKey]], name: _Index, key: CanonicalKey) -> None:
    keys = index.get(name)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[name]
