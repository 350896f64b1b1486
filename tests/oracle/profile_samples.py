"""Random profiles and predicates over them, made to meet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from tests.oracle import profile_search as oracle
from tests.oracle.predicate_samples import AS_OF, BACK, NUMERIC, TEXTS, Samples, Tree

IDS = ("a", "A", "b", "é", "1", "1.0", "true", "x\ny", '["a"]')
FIELDS = ("user_id", "user_id", "anonymous_id", "anonymous_ids", "anonymous_ids[]", "anonymous_ids[][]", "traits", "id")


class ProfileSamples(Samples):
    """Seeded: the same seed gives the same profiles and trees."""

    def profile(self) -> oracle.Profile:
        """Return a profile as it is kept."""
        seen = [AS_OF - timedelta(milliseconds=self.choice(BACK)) for _ in range(2)]
        return {
            "id": uuid4(),
            "user_id": self.choice((None, *IDS)),
            "anonymous_ids": sorted({self.choice(IDS) for _ in range(self.randrange(3))}),
            "traits": oracle.held(self.object()),
            "first_seen_at": min(seen),
            "last_seen_at": max(seen),
        }

    def field(self, inside: bool) -> str:
        """Return a field of a profile, or of an element."""
        if inside:
            return self.path() or "a"
        return self.choice(FIELDS) if self.random() < 0.25 else f"traits.{self.path()}"

    def leaf(self, inside: bool) -> Tree:
        """Return a predicate that asks one field; no pattern of an element."""
        while True:
            found = super().leaf(inside)
            if inside and found["op"] == "matches":
                continue
            times: dict[str, Any] = {"timestamp": "first_seen_at", "received_at": "last_seen_at"}
            return {**found, "field": times.get(found["field"], found["field"])}

    def words(self) -> str:
        """Return free text."""
        return " ".join(self.choice((*TEXTS, *NUMERIC)) for _ in range(self.randrange(1, 3)))
