"""Random small histories of what makes profiles, cut into batches: events that arrive late, twice or tied, devices that
people share, merges and their undoing, ids that are blocked, people who are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID, uuid4

from tests.oracle import profiles as oracle
from tests.oracle.identity import Person
from tests.oracle.profiles import Event

T0 = 1_706_601_600_000  # 2024-01-30: some days later is another partition
_DAY = 86_400_000
_USERS = ("u1", "u2", "u3", "x", "null", "guest", "", "", "é")
_DEVICES = ("a1", "a2", "shared", "x", "guest", "undefined", "", "", "n\0l", 'q"\\,{}')
_TEXTS: tuple[Any, ...] = (
    "a",
    "B",
    "",
    "é\u2028",
    "n\0l",
    '"',
    1,
    1.0,
    2.5,
    -3,
    True,
    False,
    None,
    None,
    [1, 2],
    ["a"],
    [],
)


@dataclass
class Batch:
    """What happens together. `merges`: the winner, None for one that is undone; `blocked`: all there are from then."""

    events: list[Event] = field(default_factory=list)
    merges: dict[Person, Person | None] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()
    suppressed: tuple[Person, ...] = ()


@dataclass
class History:
    """One workspace; after all batches its profiles are `expected`."""

    workspace: UUID
    batches: list[Batch]

    @property
    def expected(self) -> Mapping[Person, oracle.Profile]:
        """The profiles there are in the end."""
        merges: dict[Person, Person] = {}
        for batch in self.batches:
            merges |= {loser: winner for loser, winner in batch.merges.items() if winner}
            for loser in [loser for loser, winner in batch.merges.items() if not winner]:
                merges.pop(loser, None)
        events = [event for batch in self.batches for event in batch.events]
        suppressed = [person for batch in self.batches for person in batch.suppressed]
        return oracle.profiles(self.workspace, events, merges, blocked=self.batches[-1].blocked, suppressed=suppressed)


def history(rng: Random, *, groups: int, events: int = 14, batches: int = 4) -> History:
    """Return a workspace of some groups of people that have nothing to do with each other, each with about so many
    events."""
    made = History(uuid4(), [Batch() for _ in range(batches)])
    blocked: list[dict[str, tuple[str, ...]]] = [{} for _ in range(batches)]
    for group in range(groups):
        prefix = f"{group}-"
        for number in range(events):
            event = _event(rng, prefix, number)
            sent = [event] if rng.random() < 0.75 else [event, _again(rng, event)]
            for each in sent:
                rng.choice(made.batches).events.append(each)
        # No circles: everybody merges only into somebody further on.
        persons: list[Person] = [("user", prefix + id) for id in ("u1", "u2", "u3", "x")]
        persons += [("anonymous", prefix + id) for id in ("a1", "a2", "shared", "x")]
        rng.shuffle(persons)
        for batch, blocked_then in zip(made.batches, blocked, strict=True):
            for place, loser in enumerate(persons[:-1]):
                if rng.random() < 0.06:
                    batch.merges[loser] = rng.choice([*persons[place + 1 :], None])
            if rng.random() < 0.15:
                ids = rng.choice(((), ("guest",), ("guest", "u2"), ("shared",)))
                blocked_then[prefix] = tuple(prefix + id for id in ids)
            if rng.random() < 0.1:
                batch.suppressed += (rng.choice(persons),)
    now: dict[str, tuple[str, ...]] = {}
    for batch, blocked_then in zip(made.batches, blocked, strict=True):
        now |= blocked_then
        batch.blocked = tuple(id for ids in now.values() for id in ids)
    return made


def traits_null(event: Mapping[str, Any]) -> list[str]:
    """Return the paths that were sent as null."""
    return sorted({path for path, value in oracle.leaves(event.get("traits", {})) if value is None})


def _event(rng: Random, prefix: str, number: int) -> Event:
    table = rng.choice(("identify", "identify", "identify", "track", "page", "group"))
    at = T0 + rng.choice((0, 0, 1, 1_000, _DAY, 3 * _DAY)) + rng.choice((0, 0, 7))
    event = {
        "table": table,
        # The order of ids is not that of time.
        "message_id": f"{rng.choice('mMé')}{prefix}{number}",
        "user_id": _prefixed(prefix, rng.choice(_USERS)),
        "anonymous_id": _prefixed(prefix, rng.choice(_DEVICES)),
        "timestamp": at,
        "received_at": at + rng.randrange(1_000_000),
        "event": "e",
        "name": "n",
        "group_id": "g",
    }
    return event | ({"traits": _traits(rng)} if table in ("identify", "group") else {})


def _prefixed(prefix: str, id: str) -> str:
    return id if id in ("", "null", "undefined") else prefix + id


def _again(rng: Random, event: Event) -> Event:
    shift = rng.choice((-1, 1)) * (1 + rng.randrange(1_000))
    return (
        event | {"received_at": event["received_at"] + shift} | ({"traits": _traits(rng)} if "traits" in event else {})
    )


def _traits(rng: Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("plan", "score", "n\0me", ""):
        if rng.random() < 0.35:
            found[name] = rng.choice(_TEXTS)
    kind = rng.random()
    if kind < 0.2:
        found["address"] = rng.choice((None, "none", {}, {"city": None}))
    elif kind < 0.5:
        found["address"] = {"zip": rng.choice((1, None, "1")), "geo": {"lat": rng.choice((1.5, None))}}
    elif kind < 0.8:
        found["address.city"] = rng.choice(("Berlin", None))
        found["address.geo.lat"] = rng.choice((1, None))
    return found
