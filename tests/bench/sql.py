"""What custom SQL costs: others while it is busy, and itself before it reaches the engine.

    python -m tests.bench.sql [--rows 300000] [--rounds 5] [--callers 20]

Prints one JSON object. `events` and `light_sql`: 95th percentiles of a request of one workspace, uncached and one at a
time, when nothing else runs and while `--callers` callers of another workspace send heavy statements without pause;
ratios and times are medians of the rounds. `page`: milliseconds of a hundred lines of SQL, of processor time for its
preparation here, of time for each of the engine's two readings of it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp

from services.kit.clickhouse import ClickHouse
from services.kit.settings import Settings
from services.kit.statements import limits
from services.query.sql.engine import SqlEngine, settings_of
from services.query.sql.prepare import prepare
from services.query.sql.slots import share
from tests.bench.requests import ASK, WORKSPACE, fill
from tests.infra import embedded_servers
from tests.oracle.sql_page import PAGE
from tests.platform import Platform, running

OTHER = UUID("00000000-0000-4000-8000-00000000be0d")
"""Whose statements are heavy."""
HEAVY = (
    "SELECT properties.sku::String AS sku, uniqExact(user_id), quantilesExact(0.5, 0.9)(properties.price.:Float64), "
    "length(groupUniqArray(message_id)) FROM events_track GROUP BY sku ORDER BY 2 DESC",
    "SELECT max(n), avg(gap) FROM (SELECT row_number() OVER w AS n, dateDiff('second', lagInFrame(timestamp) OVER w, "
    "timestamp) AS gap FROM events_track WINDOW w AS (PARTITION BY actor ORDER BY timestamp, message_id "
    "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))",
    "SELECT a.event, b.event, count() FROM events_track AS a JOIN events_track AS b ON a.user_id = b.user_id "
    "GROUP BY a.event, b.event",
    "SELECT count() FROM numbers(1000000) AS a, numbers(3000) AS b WHERE a.number * b.number % 7 = 3",
)
"""Sets of values, a sort, a join of millions of pairs, and billions of rows that are never stored."""
LIGHT = "SELECT event, count() FROM events_track WHERE timestamp >= '2026-06-30' GROUP BY event"
REQUESTS = 60
"""Of each kind in each round, idle and busy."""
_SETTLE_SECONDS = 2.0


def p50(seconds: list[float]) -> float:
    """Return the median."""
    return statistics.median(seconds)


def p95(seconds: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(seconds, n=20)[-1]


async def ask(http: aiohttp.ClientSession, url: str, body: dict[str, Any], workspace: UUID) -> int:
    """Send one uncached request and return its status."""
    headers = {"X-Workspace-Id": str(workspace), "Cache-Control": "no-cache"}
    async with http.post(url, json=body, headers=headers) as reply:
        await reply.read()
        return reply.status


async def times(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> list[float]:
    """Return the seconds of requests sent one after the other."""
    found = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        status = await ask(http, url, body, WORKSPACE)
        found.append(time.perf_counter() - begun)
        assert status == 200, status
    return found


@asynccontextmanager
async def busy(http: aiohttp.ClientSession, url: str, callers: int, done: Counter[int]) -> AsyncIterator[None]:
    """Keep callers sending heavy statements; count their answers by status."""

    async def call(number: int) -> None:
        for query in itertools.islice(itertools.cycle(HEAVY), number % len(HEAVY), None):
            status = await ask(http, url, {"query": query}, OTHER)
            done[status] += 1
            if status == 429:
                await asyncio.sleep(1)

    tasks = [asyncio.create_task(call(number)) for number in range(callers)]
    await asyncio.sleep(_SETTLE_SECONDS)
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(_SETTLE_SECONDS)  # what they left is stopped


async def under_load(platform: Platform, rounds: int, callers: int) -> dict[str, Any]:
    """Return the times of one workspace, idle and while another is busy."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "events": (platform.url + "/query/events", ASK),
        "light_sql": (platform.url + "/query/sql", {"query": LIGHT}),
    }
    idle: dict[str, list[list[float]]] = {name: [] for name in asked}
    loaded: dict[str, list[list[float]]] = {name: [] for name in asked}
    done: Counter[int] = Counter()
    sql = platform.url + "/query/sql"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), connector=connector) as http:
        for url, body in asked.values():
            await times(http, url, body)
        for _ in range(rounds):
            for name, (url, body) in asked.items():
                idle[name].append(await times(http, url, body))
            async with busy(http, sql, callers, done):
                for name, (url, body) in asked.items():
                    loaded[name].append(await times(http, url, body))
    figures: dict[str, Any] = {name: _compared(idle[name], loaded[name]) for name in asked}
    return figures | {"heavy_by_status": {str(status): count for status, count in sorted(done.items())}}


def _compared(idle: list[list[float]], loaded: list[list[float]]) -> dict[str, Any]:
    return {
        **{
            f"{when}_{name}_ms": round(statistics.median(measure(times) for times in rounds) * 1000, 1)
            for when, rounds in (("idle", idle), ("busy", loaded))
            for name, measure in (("p50", p50), ("p95", p95))
        },
        "ratio": round(statistics.median(p95(b) / p95(a) for a, b in zip(idle, loaded, strict=True)), 2),
        "ratios": [round(p95(b) / p95(a), 2) for a, b in zip(idle, loaded, strict=True)],
    }


async def page(settings: Settings, repeats: int = 50) -> dict[str, Any]:
    """Return what a page of SQL costs before it runs."""
    written = prepare(PAGE, WORKSPACE, None, {})
    spent = []
    for _ in range(repeats):
        begun = time.process_time()
        prepare(PAGE, WORKSPACE, None, {})
        spent.append(time.process_time() - begun)
    figures: dict[str, Any] = {
        "lines": PAGE.count("\n"),
        "prepare_cpu_ms": round(statistics.median(spent) * 1000, 1),
    }
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=1)
    engine = SqlEngine(settings, clickhouse)
    await engine.start()
    sent = settings_of(limits(settings) | share(settings), WORKSPACE, "UTC", 30, 1000)
    for what in ("AST", "QUERY TREE"):
        spent = []
        for _ in range(repeats // 2):
            begun = time.perf_counter()
            await engine.explain(
                what, written.sql, workspace=WORKSPACE, settings=sent, query_id=uuid.uuid4().hex, timeout=30
            )
            spent.append(time.perf_counter() - begun)
        figures[f"explain_{what.lower().replace(' ', '_')}_ms"] = round(statistics.median(spent) * 1000, 1)
    await engine.close()
    return figures


async def measure(platform: Platform, rows: int, rounds: int, callers: int) -> dict[str, Any]:
    """Return the figures."""
    for workspace in (WORKSPACE, OTHER):
        await fill(platform, rows, workspace)
    return {"page": await page(platform.settings), **await under_load(platform, rounds, callers)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="events of each of the two workspaces")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=20)
    options = parser.parse_args()
    with (
        embedded_servers() as servers,
        tempfile.TemporaryDirectory() as logs,
        running(servers.settings, Path(logs)) as platform,
    ):
        figures = asyncio.run(measure(platform, options.rows, options.rounds, options.callers))
    print(json.dumps({"bench": "sql", **vars(options), **figures}))


if __name__ == "__main__":
    main()
