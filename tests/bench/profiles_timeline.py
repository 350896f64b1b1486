"""A page of one person's timeline: `python -m tests.bench.profiles_timeline [--rows 10000000] [--out figures.json]`.

Events of a year in all four tables (40 names of track events, 6 of pages) with 300 bytes of context each, a person for
every ten, and a few with 10,000. Asked over HTTP for the newest 50 of those few, and beside it, in turn, the engine's
own time for the union of the four tables with the same columns, sorted. Merged, and with the newest day in parts of its
own. Also what inserts cost with the table that pages are read from, against a table without. Medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
import msgspec

from contracts.common import TABLES, TableName
from services.kit import identity, sql
from services.kit.clickhouse import ClickHouse
from services.kit.event_schema import create_statement, expected
from services.kit.predicates import SETTINGS
from services.profile.projection import project
from tests.api import Api
from tests.infra import embedded_servers
from tests.people import People, connected
from tests.platform import running

WORKSPACE = UUID("00000000-0000-0000-0000-0000000000bf")
HEAVY: Final = 6
EVENTS: Final = 10_000
"""Of each of the heavy persons."""
ROUNDS: Final = 5
_CHUNK: Final = 250_000
_SECONDS: Final = 1_800.0
_SHARES: Final[dict[TableName, tuple[float, float]]] = {
    "track": (0, 0.6),
    "page": (0.6, 0.9),
    "identify": (0.9, 0.96),
    "group": (0.96, 1),
}
_OWN: Final[dict[TableName, str]] = {
    "track": "concat('event ', toString(sipHash64(number, 5) % 40)) AS event,",
    "page": "concat('page ', toString(sipHash64(number, 5) % 6)) AS name,",
    "identify": "",
    "group": "concat('g', toString(who % 1000)) AS group_id,",
}
_PROPERTIES: Final = (
    """concat('{"price":', toString(number % 500 / 10), ',"sku":"', toString(number % 1000), '","list":["a","b"],"""
    """"page":{"n":', toString(number % 7), '},"title":"A title of thing ', toString(number % 997), '"}')"""
)
_TRAITS: Final = (
    """concat('{"plan":"pro","email":"', toString(who), '@example.com","n":', toString(number % 50), '}')"""
)
_CONTEXT: Final = (
    """concat('{"ip":"10.0.', toString(who % 250), '.1","locale":"en-GB","library":{"name":"analytics.js"},"""
    """"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',"""
    """toString(100 + who % 30), '.0.0.0 Safari/537.36","page":{"path":"/p/', toString(number % 5000), '","url":"""
    """"https://shop.example/p/', toString(number % 5000), '","title":"Page ', toString(number % 5000),"""
    """'","referrer":"https://search.example/"},"timezone":"Europe/Berlin"}')"""
)


def events_sql(table: TableName, rows: int, first: int, last: int, start: str = "0", days: int = 365) -> str:
    """Return SQL of the events numbered `first` to `last` (not included) of `rows`."""
    column = "properties" if table in ("track", "page") else "traits"
    heavy = f"sipHash64(number, 7) % {rows} < {HEAVY * EVENTS}"
    who = f"if({heavy}, sipHash64(number, 8) % {HEAVY}, {HEAVY} + sipHash64(number, 1) % {max(rows // 10, 1)})"
    return f"""
        SELECT {sql.uuid(WORKSPACE)} AS workspace_id, toString(generateUUIDv4(number)) AS message_id,
            if(sipHash64(number, 3) % 10 < 3, '', concat('user-', toString(who))) AS user_id,
            if(user_id != '' AND sipHash64(number, 4) % 5 > 0, '', concat('device-', toString(who))) AS anonymous_id,
            toDateTime64('2025-01-01', 3, 'UTC') + toIntervalDay({start})
                + toIntervalMillisecond(sipHash64(number, 2) % {days * 86_400_000}) AS timestamp,
            timestamp + toIntervalSecond(5) AS received_at, {_OWN[table]}
            {_PROPERTIES if column == "properties" else _TRAITS} AS {column}, {_CONTEXT} AS context
        FROM (SELECT number, {who} AS who FROM numbers({first}, {last - first}))"""


def union_sql(person: int) -> str:
    """Return what one would write: the newest rows of a person from all four tables, with all columns."""
    ids: tuple[tuple[Any, str], ...] = (("user", f"user-{person}"), ("anonymous", f"device-{person}"))
    keys = ", ".join(f"toUInt64({identity.actor_key_of(WORKSPACE, kind, id)})" for kind, id in ids)
    selects = [
        f"SELECT * FROM (SELECT timestamp, message_id, '{table}' AS source, user_id, anonymous_id, received_at, "
        f"toJSONString({'properties' if table in ('track', 'page') else 'traits'}) AS object, "
        f"toJSONString(context) AS context FROM cdp.events_{table} FINAL "
        f"WHERE workspace_id = {sql.uuid(WORKSPACE)} AND actor_key IN ({keys}) "
        "ORDER BY timestamp DESC, message_id DESC LIMIT 50)"
        for table in TABLES
    ]
    return f"SELECT * FROM ({' UNION ALL '.join(selects)}) ORDER BY timestamp DESC, message_id DESC LIMIT 50"


class Bench:
    """A platform with a workspace full of events."""

    def __init__(self, people: People, rows: int) -> None:
        self._people, self._rows = people, rows
        self._clickhouse: ClickHouse = people.resources.clickhouse

    async def run(self, statement: str) -> float:
        """Run a statement that changes something; return the seconds it took."""
        settings = {"max_partitions_per_insert_block": 0, "optimize_throw_if_noop": 0, "max_insert_threads": 1}
        started = time.perf_counter()
        await self._clickhouse.execute(statement, settings=settings, timeout=_SECONDS)
        return time.perf_counter() - started

    async def insert(self, into: str, table: TableName, source: str) -> float:
        """Insert rows; return the seconds it took."""
        wanted = (column.name for column in expected(table).columns.values() if not column.expression)
        columns = ", ".join(name for name in wanted if name != "traits_null")
        return await self.run(f"INSERT INTO {into} ({columns}) SELECT {columns} FROM ({source})")

    async def fill(self) -> None:
        """Insert all events, merge all parts, and make the profiles of those who are asked for."""
        for table, (low, high) in _SHARES.items():
            first, last = round(self._rows * low), round(self._rows * high)
            for at in range(first, last, _CHUNK):
                await self.insert(
                    f"cdp.events_{table}", table, events_sql(table, self._rows, at, min(at + _CHUNK, last))
                )
        for name in (*(f"events_{table}" for table in TABLES), "events_by_actor"):
            await self.run(f"OPTIMIZE TABLE cdp.{name} FINAL")
        await identity.reload_identity(self._clickhouse)
        keys = {identity.actor_key_of(WORKSPACE, "user", f"user-{person}") for person in range(HEAVY)}
        await project(self._people.resources, WORKSPACE, keys)

    async def freshen(self) -> None:
        """Add what a day of ingestion leaves: four parts, not merged, of 1 % of the events."""
        for table in (*(f"events_{table}" for table in TABLES), "events_by_actor"):
            await self.run(f"SYSTEM STOP MERGES cdp.{table}")
        for table, (low, high) in _SHARES.items():
            count = round(self._rows * (high - low) / 400)
            for part in range(4):
                first = self._rows * 2 + round(self._rows * low) + part * count
                source = events_sql(table, self._rows, first, first + count, start="364", days=1)
                await self.insert(f"cdp.events_{table}", table, source)

    async def pages(self) -> dict[str, float]:
        """Return medians in seconds: of a first page and of one in the middle of history over HTTP, of the bare union,
        of sessions and of a summary."""
        middle = {}
        for person in range(HEAVY):
            answer = await self._ask(person, "events?to=2025-07-01&limit=1")
            middle[person] = answer.json["next_cursor"]
        asked: dict[str, Callable[[int], Awaitable[Any]]] = {
            "page": lambda person: self._ask(person, "events?limit=50"),
            "page, in the middle": lambda person: self._ask(
                person, f"events?to=2025-07-01&limit=50&cursor={middle[person]}"
            ),
            "bare union": self._union,
            "sessions": lambda person: self._ask(person, "sessions"),
            "summary": lambda person: self._ask(person, "summary"),
        }
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(ROUNDS):
            for person in range(HEAVY):
                for name, ask in asked.items():
                    started = time.perf_counter()
                    await ask(person)
                    taken[name].append(time.perf_counter() - started)
        return {name: statistics.median(each) for name, each in taken.items()}

    async def _ask(self, person: int, what: str) -> Any:
        answer = await self._people.ask(f"user_id:user-{person}", f"/{what}")
        assert answer.status == 200, answer.body
        return answer

    async def _union(self, person: int) -> None:
        settings = {**SETTINGS, "do_not_merge_across_partitions_select_final": 1}
        await self._clickhouse.query(union_sql(person), settings=settings, query_id=uuid4().hex, timeout=_SECONDS)

    async def inserts(self) -> dict[str, float]:
        """Return medians of inserting 100,000 track events: with the tables that follow, and into a table alone."""
        await self.run(create_statement("track", "cdp.bench_alone"))
        taken: dict[str, list[float]] = {"cdp.events_track": [], "cdp.bench_alone": []}
        for number in range(5):
            first = self._rows * 3 + number * 100_000
            for table, seconds in taken.items():
                seconds.append(
                    await self.insert(table, "track", events_sql("track", self._rows, first, first + 100_000))
                )
        return {name: statistics.median(each) for name, each in taken.items()}

    async def sizes(self) -> dict[str, int]:
        """Return the bytes on disk of each table of events."""
        result = await self._clickhouse.query(
            "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'cdp' "
            "AND startsWith(table, 'events_') GROUP BY table ORDER BY table",
            query_id=uuid4().hex,
            timeout=30,
        )
        return {name.decode(): size for name, size in result.rows()}


def report(state: str, taken: dict[str, float]) -> None:
    """Print the figures of one state, against the bare union."""
    print(f"{state}:")
    for name, seconds in taken.items():
        print(f"  {name:<24}{seconds * 1000:>9.1f} ms{seconds / taken['bare union']:>8.2f} of the bare union")


async def main(rows: int, out: Path | None) -> None:
    """Run on servers of its own and print."""
    figures: dict[str, Any] = {"rows": rows}
    with embedded_servers() as servers, TemporaryDirectory() as logs, ExitStack() as stack:
        # Only those asked for become profiles, by `project` here: the projector would be busy with all the others.
        reading = msgspec.structs.replace(servers.settings, profiles_source="external")
        platform = stack.enter_context(running(reading, Path(logs)))
        async with connected(servers.settings) as resources, aiohttp.ClientSession() as http:
            bench = Bench(People(Api(platform.settings, platform.url, WORKSPACE, http), resources), rows)
            await bench.fill()
            figures["bytes"] = await bench.sizes()
            print(figures["bytes"])
            figures["merged"] = await bench.pages()
            report("merged", figures["merged"])
            await bench.freshen()
            figures["1 % fresh"] = await bench.pages()
            report("1 % fresh", figures["1 % fresh"])
            figures["inserts"] = await bench.inserts()
            print(figures["inserts"])
    if out is not None:
        out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rows, arguments.out))
