"""Which sorting key the event tables have: `python -m tests.bench.layout [--rows 2000000] [--out figures.json]`.

Two layouts of the same rows, with 0, 1 and 100 % of the parts fresh (not merged, holding events sent twice):

- `event first` (the baseline): workspace_id, event, actor_key, timestamp, mid;
- `actor first`: workspace_id, actor_key, timestamp, event, mid.

Every figure is the best of five runs in seconds, seen from a client; the layouts take turns, and ratios are against the
baseline of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from services.kit import identity, sql
from services.kit.clickhouse import ClickHouse
from services.kit.event_schema import create_statement, expected
from services.kit.settings import Settings
from tests.bench.layout_names import compare_names
from tests.infra import embedded_servers

WORKSPACE = UUID("00000000-0000-0000-0000-0000000000be")
LAYOUTS = {
    "event first": "workspace_id, event, actor_key, timestamp, mid",
    "actor first": "workspace_id, actor_key, timestamp, event, mid",
}
BASE = "event first"
ROUNDS = 5
TIMELINES = 15
EVENTS_AN_ACTOR = 40
_SECONDS = 600.0
_START = "toDateTime64('2025-01-01', 3, 'UTC')"
_COLUMNS = [column.name for column in expected("track").columns.values() if not column.expression]


def events_sql(rows: int) -> str:
    """Return SQL of the events: a year, 46 names (`rare`: one event in 10,000), 30 % of the rows anonymous."""
    actors = max(rows // EVENTS_AN_ACTOR, 1)
    return f"""
        SELECT {sql.uuid(WORKSPACE)} AS workspace_id, concat('m', toString(number)) AS message_id,
            if(sipHash64(number, 3) % 10 < 3, '', concat('user-', toString(actor))) AS user_id,
            if(user_id != '' AND sipHash64(number, 4) % 5 > 0, '', concat('device-', toString(actor))) AS anonymous_id,
            {_START} + toIntervalMillisecond(sipHash64(number, 2) % 31536000000) AS timestamp,
            timestamp + toIntervalSecond(5) AS received_at,
            multiIf(name < 3000, 'view', name < 5500, 'visit', name < 6300, 'cart', name < 6600, 'order',
                name < 6601, 'rare', concat('other ', toString(name % 41))) AS event,
            concat('{{"price":', toString(actor % 500 / 10), ',"sku":"', toString(name), '","list":["a","b"],',
                '"page":{{"n":', toString(number % 7), '}}}}') AS properties,
            concat('{{"ip":"10.0.0.', toString(actor % 250), '","locale":"en","page":{{"path":"/p/', toString(name),
                '"}}}}') AS context
        FROM (SELECT number, sipHash64(number, 1) % {actors} AS actor, sipHash64(number) % 10000 AS name
            FROM numbers({rows}))"""


def workloads(table: str, final: str) -> Mapping[str, str]:
    """Return the statements that are timed, by name; `final` is 'FINAL' or ''."""
    person = identity.resolved_key()
    source = f"FROM {table} {final} WHERE workspace_id = {sql.uuid(WORKSPACE)}"
    quarter = f"timestamp >= {_START} + toIntervalDay(270) AND timestamp < {_START} + toIntervalDay(360)"
    funnel = (
        "SELECT level, count() FROM (SELECT {person} AS person, windowFunnel(2592000000)"
        "(toUInt64(toUnixTimestamp64Milli(timestamp)), {steps}) AS level {source} AND event IN ({names}) AND {range} "
        "GROUP BY person) GROUP BY level"
    )

    def steps(*names: str) -> str:
        quoted = [sql.string(name) for name in names]
        conditions = ", ".join(f"event = {name}" for name in quoted)
        return funnel.format(person=person, steps=conditions, source=source, names=", ".join(quoted), range=quarter)

    return {
        "funnel": steps("view", "cart", "order"),
        "funnel of a rare event": steps("rare", "order"),
        "retention": f"SELECT start, back, count() FROM (SELECT {person} AS person, "
        f"groupUniqArray(toMonday(timestamp)) AS weeks {source} AND event IN ('visit', 'order') AND {quarter} "
        "GROUP BY person) ARRAY JOIN weeks AS start ARRAY JOIN weeks AS back WHERE back >= start GROUP BY start, back",
        "trend of all events": f"SELECT toDate(timestamp) AS day, count() {source} AND {quarter} GROUP BY day",
        "actors with rows since": f"SELECT DISTINCT {person} {source} AND timestamp >= {_START} + toIntervalDay(364)",
    }


def timeline(table: str, final: str, actor: int) -> str:
    """Return the statement of one person's newest events."""
    keys = [identity.actor_key_of(WORKSPACE, kind, f"{text}-{actor}") for kind, text in _KINDS]
    return (
        f"SELECT timestamp, event, message_id, toJSONString(properties) FROM {table} {final} "
        f"WHERE workspace_id = {sql.uuid(WORKSPACE)} AND actor_key IN ({', '.join(map(str, keys))}) "
        "ORDER BY timestamp DESC, message_id DESC LIMIT 100"
    )


_KINDS: Sequence[tuple[Any, str]] = (("user", "user"), ("anonymous", "device"))


class Bench:
    """Tables, and how long statements over them take."""

    def __init__(self, clickhouse: ClickHouse, rows: int) -> None:
        self._clickhouse, self._rows = clickhouse, rows

    async def run(self, statement: str) -> None:
        """Run a statement that changes something."""
        settings = {"max_partitions_per_insert_block": 0, "optimize_throw_if_noop": 0}
        await self._clickhouse.execute(statement, settings=settings, timeout=_SECONDS)

    async def seconds(self, statements: Mapping[str, str]) -> dict[str, float]:
        """Return the best of the rounds of one statement over each layout; they take turns."""
        best = dict.fromkeys(statements, _SECONDS)
        for _ in range(ROUNDS):
            for layout, statement in statements.items():
                started = time.perf_counter()
                await self._clickhouse.query(
                    statement,
                    settings={"do_not_merge_across_partitions_select_final": 1},
                    query_id=uuid4().hex,
                    timeout=_SECONDS,
                )
                best[layout] = min(best[layout], time.perf_counter() - started)
        return best

    async def fill(self, table: str, layout: str, source: str, *, merged: bool) -> float:
        """Make a table of a layout and fill it; return the seconds of filling it. Not merged: six inserts over the
        whole year, each with some events of the one before once more."""
        statement = create_statement("track", table).replace(
            f"ORDER BY ({expected('track').sorting_key})", f"ORDER BY ({LAYOUTS[layout]})"
        )
        await self.run(statement)
        started = time.perf_counter()
        if merged:
            await self.insert(table, source, "1")
            await self.run(f"OPTIMIZE TABLE {table} FINAL")
        else:
            await self.run(f"SYSTEM STOP MERGES {table}")
            for part in range(6):
                chosen = f"sipHash64(message_id, 9) % 6 = {part} OR sipHash64(message_id, 9) % 600 = {part}"
                await self.insert(table, source, chosen)
        return time.perf_counter() - started

    async def freshen(self, table: str, source: str) -> None:
        """Add what a day of ingestion leaves: four small parts in the newest month, half of their rows sent before."""
        await self.run(f"SYSTEM STOP MERGES {table}")
        for part in range(4):
            newest = f"timestamp >= {_START} + toIntervalDay(334) AND sipHash64(message_id, 8) % 32 = {part}"
            await self.insert(table, source, newest)

    async def insert(self, table: str, source: str, condition: str) -> None:
        """Copy rows."""
        columns = ", ".join(_COLUMNS)
        await self.run(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {source} WHERE {condition}")

    async def measure(self, tables: Mapping[str, str]) -> dict[str, dict[str, float]]:
        """Return figures[workload][layout] of every workload, with FINAL and without. `tables`: by layout."""
        figures = {}
        for suffix, final in (("", "FINAL"), (", without FINAL", "")):
            statements = {layout: workloads(table, final) for layout, table in tables.items()}
            for name in statements[BASE]:
                figures[name + suffix] = await self.seconds({layout: s[name] for layout, s in statements.items()})
        actors = max(self._rows // EVENTS_AN_ACTOR, 1)
        taken = [
            await self.seconds({layout: timeline(table, "FINAL", actor) for layout, table in tables.items()})
            for actor in range(0, actors, max(actors // TIMELINES, 1))
        ]
        figures["one person's timeline"] = {
            layout: statistics.median(each[layout] for each in taken) for layout in tables
        }
        return figures

    async def bytes_of(self, table: str) -> int:
        """Return the bytes of a table on disk."""
        result = await self._clickhouse.query(
            f"SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND concat(database, '.', table) = '{table}'",
            query_id=uuid4().hex,
            timeout=30,
        )
        return int(result.data[0][0])


async def compare_layouts(clickhouse: ClickHouse, rows: int) -> dict[str, Any]:
    """Return figures[state][workload][layout], and by layout the bytes on disk and the seconds to fill and merge."""
    bench, source = Bench(clickhouse, rows), "cdp.bench_source"
    await bench.run(create_statement("track", source).replace("ReplacingMergeTree(version)", "MergeTree"))
    await bench.run(f"INSERT INTO {source} ({', '.join(_COLUMNS)}) {events_sql(rows)}")
    await bench.run(
        "INSERT INTO cdp.identity_links SELECT workspace_id, reinterpretAsUInt64(substring(SHA1(concat("
        "UUIDToNum(workspace_id), 'a', anonymous_id)), 1, 8)), actor_key, anonymous_id, user_id, timestamp "
        f"FROM {source} WHERE user_id != '' AND anonymous_id != ''"
    )
    await identity.reload_identity(clickhouse)
    tables = {layout: f"cdp.bench_{layout.replace(' ', '_')}" for layout in LAYOUTS}
    figures: dict[str, Any] = {"bytes": {}, "fill": {}}
    for layout, table in tables.items():
        figures["fill"][layout] = await bench.fill(table, layout, source, merged=True)
        figures["bytes"][layout] = await bench.bytes_of(table)
    figures["0 % fresh"] = await bench.measure(tables)
    for table in tables.values():
        await bench.freshen(table, source)
    figures["1 % fresh"] = await bench.measure(tables)
    for layout, table in tables.items():
        await bench.run(f"DROP TABLE {table}")
        await bench.fill(table, layout, source, merged=False)
    figures["100 % fresh"] = await bench.measure(tables)
    return figures


def print_layouts(figures: Mapping[str, Any]) -> None:
    """Print every figure of the baseline and the ratio of the other layout to it."""
    base, other = LAYOUTS
    sizes = figures["bytes"]
    print(f"bytes on disk: {base} {sizes[base]:,}; ratio {sizes[other] / sizes[base]:.2f}")
    for state in ("0 % fresh", "1 % fresh", "100 % fresh"):
        print(f"\n{state:<44}{base:>14}{other:>14}{'ratio':>8}")
        for name, seconds in figures[state].items():
            times = f"{seconds[base] * 1000:>11.1f} ms{seconds[other] * 1000:>11.1f} ms"
            print(f"  {name:<42}{times}{seconds[other] / seconds[base]:>8.2f}")


async def main(rows: int, out: Path | None) -> None:
    """Run on embedded servers of its own and print."""
    with embedded_servers() as servers:
        settings: Settings = servers.settings
        clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=2)
        await clickhouse.start()
        try:
            version = (await clickhouse.query("SELECT version()", query_id=uuid4().hex, timeout=5)).data[0][0].decode()
            layouts = await compare_layouts(clickhouse, rows)
            print_layouts(layouts)
            names = await compare_names(clickhouse, servers.pid("clickhouse"))
        finally:
            await clickhouse.close()
    if out is not None:
        facts = {"engine": version, "cores": os.cpu_count(), "rows": rows, "seconds": layouts, "names": names}
        out.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rows, arguments.out))
