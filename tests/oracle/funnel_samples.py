"""Random funnels over random histories: everything a request can say, in combination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.oracle import funnel_answer, histories, series, session, timerange
from tests.oracle.events import Event
from tests.oracle.funnel import Funnel

PLACES = (
    ("UTC", datetime(2024, 2, 27, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 3, 28, 5, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 10, 31, 18, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 3, 1, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2024, 1, 30, tzinfo=UTC)),
)
"""Time zones, and where histories begin: some days before a clock change or the end of a month."""
DAYS = 6
NAMES = ("a", "b", "c")
TABLES = (("track",), ("track",), ("track", "track", "track", "page"), histories.TABLES)
WINDOWS = (1, 600, 3_600, 86_400, 86_400, 2 * 86_400, 7 * 86_400, 7 * 86_400, 31_622_400)
NAMED = ("track", "page")


@dataclass(frozen=True, kw_only=True)
class World:
    """Histories of one workspace and its settings."""

    workspace: UUID
    zone: str
    start: datetime
    events: list[Event]
    settings: dict[str, Any]


def world(rng: Random, *, count: int) -> World:
    """Return a workspace with so many histories that know nothing of each other: each of one or two people who are not
    always known, or each of one user."""
    zone, start = rng.choice(PLACES)
    tables = rng.choice(TABLES)
    alone = rng.random() < 0.5
    events: list[Event] = []
    for number in range(count):
        sent = histories.history(
            rng,
            people=rng.choice((1, 1, 1, 2)),
            events=rng.choice((3, 6, 8, 10) if alone else (5, 10, 15, 20)),
            names=rng.choice((NAMES, ("a", "b"), ("a", "b", "x"), (*NAMES, "x"))),
            start=start,
            days=rng.choice((0.01, 0.2, 2, DAYS)),
            zone=zone,
            tables=tables,
            prefix=f"{number}.",
        )
        events += [event | {"user_id": f"{number}.u0"} for event in sent] if alone else sent
    settings: dict[str, Any] = {"timezone": zone, "week_start": rng.choice(("monday", "sunday"))}
    if rng.random() < 0.3:
        settings["internal_users"] = {"op": "eq", "field": "context.locale", "value": "en"}
    return World(workspace=UUID(int=rng.getrandbits(128)), zone=zone, start=start, events=events, settings=settings)


def funnel(rng: Random, of: World) -> Funnel:
    """Return a funnel over a workspace, its request settled."""
    return settled(Samples(rng, of).request(), of)


def settled(request: dict[str, Any], of: World) -> Funnel:
    """Return a request over a workspace; its times are instants, local dates or some local days ago."""
    zone = request.get("timezone", of.zone)
    week_start = request.get("week_start", of.settings["week_start"])
    as_of = datetime.fromisoformat(request["as_of"])
    start, end = (moment(text, as_of, zone) for text in (request["from"], request.get("to", request["as_of"])))
    interval, by = request.get("trend"), request.get("analyse_by", "actor")
    funnel = Funnel(
        request=request,
        pairs=series.keyed(of.events, of.workspace, "actor" if by == "session" else by),
        start=start,
        end=end,
        as_of=as_of,
        zone=zone,
        intervals=funnel_answer.intervals(start, end, interval, zone, week_start) if interval else (),
        internal=of.settings.get("internal_users"),
    )
    return replace(funnel, pairs=session.keyed(funnel.pairs, seen=funnel.reads)) if by == "session" else funnel


def moment(text: str, as_of: datetime, zone: str) -> int:
    """Return the milliseconds of a moment as requests write it."""
    if text.startswith("-"):
        instant = timerange.relative(-int(text[1:-1]), text[-1], as_of, ZoneInfo(zone))
    elif len(text) == len("2024-01-01"):
        instant = timerange.instant_of(datetime.combine(date.fromisoformat(text), time()), ZoneInfo(zone))
    else:
        instant = datetime.fromisoformat(text)
    return round(instant.timestamp() * 1000)


def stamp(milliseconds: int) -> str:
    """Return an instant as requests write it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


class Samples:
    """What one request may say; all of it can be."""

    def __init__(self, rng: Random, of: World) -> None:
        self.rng = rng
        self.world = of
        self.count = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 5))
        self.order = rng.choice(("ordered", "ordered", "ordered", "strict", "any"))
        self.plain = rng.random() < 0.4
        """Steps are names, and little else is said: what services are tempted to answer by shorter ways."""
        self.bare = rng.random() < 0.4
        """Little more than counts is asked for."""
        self.names = rng.sample((*NAMES, "x"), 4)
        self.broad = 1 if self.count > 3 else 2
        """How many more steps may mean nearly every event: choices of events to steps grow with the power of them."""

    def request(self) -> dict[str, Any]:
        """Return a request."""
        rng = self.rng
        request: dict[str, Any] = {"steps": [self.step() for _ in range(self.count)], "order": self.order}
        if self.count > 1 and rng.random() < (0.1 if self.plain else 0.5):
            request["exclusions"] = [self.exclusion() for _ in range(rng.choice((1, 1, 2)))]
            request["effect"] = rng.choice(("stop", "disqualify", "disqualify"))
        elif self.order == "ordered" and rng.random() < (0.1 if self.plain else 0.4):
            for step in request["steps"][1:]:
                step["optional"] = rng.random() < 0.5
        meant = (*request["steps"], *request.get("exclusions", ()))
        tables = {table for one in meant for table in series.tables_of(one)}
        request |= self.range()
        request |= {
            "window": self.window(),
            "range": rng.choice(("entries", "entries", "all_steps")),
            "times": rng.random() < (0.1 if self.bare else 0.8),
            "analyse_by": rng.choice(("actor", "actor", "actor", "user_id", "anonymous_id", "group_id")),
            "include_internal": rng.random() < 0.3,
        }
        if tables & set(NAMED) and rng.random() < 0.15:
            request["analyse_by"] = "properties.order"
        if tables & set(NAMED) and all("occurrence" not in one for one in meant) and rng.random() < 0.15:
            request["analyse_by"] = "session"
        if rng.random() < (0.1 if self.plain else 0.3):
            request["holding"] = rng.sample(self.fields(tables), rng.choice((1, 1, 2)))
        if rng.random() < 0.25:
            request["where"] = self.predicate(tables)
        more = 0.1 if self.bare else 0.6
        if rng.random() < more:
            request["breakdown"] = self.breakdown(tables)
        if rng.random() < more:
            request["trend"] = rng.choice(("hour", "day", "day", "week", "month"))
        if self.count > 1 and rng.random() < more:
            first, last = sorted(rng.sample(range(1, self.count + 1), 2))
            request["time_to_convert"] = {"from_step": first, "to_step": last}
            if rng.random() < 0.5:
                request["time_to_convert"]["bins"] = rng.choice((1, 2, 5))
        return request

    def step(self) -> dict[str, Any]:
        """Return a step: a series with or without a label; plain ones are mostly of different names."""
        if self.plain:
            return {"names": [self.names.pop() if self.names and self.rng.random() < 0.8 else self.rng.choice(NAMES)]}
        step = self.series()
        return step | {"label": "Step"} if self.rng.random() < 0.1 else step

    def series(self) -> dict[str, Any]:
        """Return events by name, by table or by predicate, of any or one occurrence."""
        rng = self.rng
        found: dict[str, Any] = {"names": [rng.choice(NAMES)]}
        if rng.random() < 0.3:
            sent = {event["table"] for event in self.world.events}
            others = ("page", ["track", "page"], ["identify", "page"]) if "page" in sent else ()
            found["table"] = rng.choice((*others, "any", ["track", "group"]))
        if self.broad and rng.random() < 0.3:
            self.broad -= 1
            found |= rng.choice(({"names": list(NAMES[:2])}, {"names": [], "table": rng.choice(("any", "page"))}))
        tables = set(series.tables_of(found))
        if rng.random() < 0.15:
            found["where"] = self.predicate(tables)
        if rng.random() < 0.1:
            found["occurrence"] = rng.choice(("first", "last"))
            if rng.random() < 0.5:
                found["having"] = self.predicate(tables)
        return found

    def exclusion(self) -> dict[str, Any]:
        """Return an exclusion of some steps; in any order, of all."""
        rng = self.rng
        found = self.series() | rng.choice(({}, {"names": ["x"], "table": "track"}))
        if self.order != "any":
            first, last = sorted(rng.sample(range(1, self.count + 1), 2))
            found |= rng.choice(({}, {"from_step": first, "to_step": last}, {"from_step": first}, {"to_step": last}))
        return found

    def window(self) -> int:
        """Return seconds: round ones, or exactly what lies between two events of one history."""
        one = self.rng.choice(self.world.events)
        history = one["message_id"].split(".")[0]
        apart: set[int] = {
            abs(event["timestamp"] - one["timestamp"])
            for event in self.world.events
            if event["message_id"].split(".")[0] == history
        }
        exact = sorted(span // 1000 for span in apart if span and span % 1000 == 0)
        return self.rng.choice(exact if exact and self.rng.random() < 0.5 else WINDOWS)

    def range(self) -> dict[str, Any]:
        """Return from, to, as_of and what they are read by."""
        rng, of = self.rng, self.world
        end = of.start + timedelta(days=DAYS)
        edges = [event["timestamp"] + rng.choice((-1, 0, 1)) for event in rng.sample(of.events, 2)]
        said: dict[str, Any] = {}
        if rng.random() < 0.3:
            said["timezone"] = rng.choice([zone for zone, _ in PLACES])
        if rng.random() < 0.3:
            said["week_start"] = rng.choice(("monday", "sunday"))
        as_of = rng.choice((end, end, end, end + timedelta(days=2), of.start + timedelta(days=DAYS / 2)))
        said |= {"as_of": as_of.isoformat(), "from": self.start(as_of, edges[0])}
        if rng.random() < 0.7:
            said["to"] = rng.choice((end.isoformat(), end.isoformat(), end.date().isoformat(), stamp(max(edges))))
        zone = said.get("timezone", of.zone)
        if moment(said["from"], as_of, zone) > moment(said.get("to", said["as_of"]), as_of, zone):
            said |= {"from": stamp(min(edges)), "to": stamp(max(edges))}
        return said

    def start(self, as_of: datetime, edge: int) -> str:
        """Return the beginning of a range: before all events, a local midnight among them, or the time of one."""
        rng, of = self.rng, self.world
        day = (of.start + timedelta(days=rng.randrange(DAYS))).date().isoformat()
        before = (of.start - timedelta(days=1)).isoformat()
        return rng.choice((before, before, before, "-2w", day, stamp(edge), f"-{rng.randrange(1, 9)}d"))

    def fields(self, tables: set[str]) -> list[str]:
        """Return fields with few values that some of the tables have."""
        found = ["context.locale", "context.page.path", "user_id"]
        if tables & set(NAMED):
            found += ["properties.x", "properties.path", "properties.n", "context.locale"]
        if tables & {"identify", "group"}:
            found.append("traits.plan")
        return sorted(set(found))

    def predicate(self, tables: set[str]) -> dict[str, Any]:
        """Return a predicate that holds of many events, but not of all."""
        rng = self.rng
        held: list[dict[str, Any]] = [
            {"op": "neq", "field": "context.locale", "value": "de"},
            {"op": "exists", "field": "context.page.path"},
            {"op": "exists", "field": "user_id"},
            {"op": "and", "items": []},
            {"op": "before", "field": "timestamp", "value": stamp(rng.choice(self.world.events)["timestamp"])},
        ]
        if tables & set(NAMED):
            held += [
                {"op": "gte", "field": "properties.n", "value": 2},
                {"op": "not_in", "field": "properties.x", "value": ["a", 1]},
                {"op": "not", "item": {"op": "eq", "field": "properties.path", "value": "/cart"}},
                {"op": "any", "field": "properties.products", "where": {"op": "eq", "field": "sku", "value": "p"}},
            ]
        one, other = rng.choice(held), rng.choice(held)
        return {"op": "or", "items": [one, other]} if rng.random() < 0.3 else one

    def breakdown(self, tables: set[str]) -> dict[str, Any]:
        """Return a breakdown with one to three parts and any attribution."""
        rng = self.rng
        parts: Sequence[Any] = self.fields(tables)
        if tables & set(NAMED):
            buckets: Mapping[str, Any] = {"kind": "buckets", "field": "properties.n", "bounds": [0, 2.5, 10]}
            parts = [*parts, buckets, "properties.x"]
        found: dict[str, Any] = {"by": rng.sample(parts, rng.choice((1, 1, 1, 2, 3)))}
        if rng.random() < 0.6:
            found["limit"] = rng.choice((1, 2, 3, 5))
        found["attribution"] = rng.choice(("first_touch", "last_touch", "all_events", "step"))
        if found["attribution"] == "step":
            found["step"] = rng.randrange(1, self.count + 1)
        return found
