"""How fast the analyses are: ``python -m tests.bench.analyses [--rows 10000000] [--rounds 5] [--only funnel …]``.

Each analysis is asked over HTTP, uncached, and held against two statements over the same rows and range: the scan that
hashes every contract column the answer depends on, and the SQL an analyst would write (tests/bench/analyses_sql.py).
The three take turns; figures are medians in seconds, ratios are ours ÷ theirs. First with all parts merged, then with
1 % fresh. `memory`: the greatest resident size of the engine while ours ran. Prints a table, then one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp

from services.kit.clickhouse import ClickHouse
from tests.bench import analyses_sql as sql
from tests.bench.analyses_data import END, NAMES, WORKSPACE, fill, freshen
from tests.infra import EmbeddedServers, embedded_servers
from tests.platform import Platform, running

START: Final = "2026-01-01"
HEADERS: Final = {"X-Workspace-Id": str(WORKSPACE), "Content-Type": "application/json", "Cache-Control": "no-cache"}
RANGE: Final = {"from": START, "to": END, "as_of": f"{END}T00:00:00Z"}
STEPS: Final = [{"names": [name]} for name in NAMES[1:4]]
VIEWED, ORDERED = {"names": [NAMES[1]]}, {"names": [NAMES[4]]}
LIMIT_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Case:
    """One analysis; `names`: the events it reads, () for all; `analyst`: the other way to ask, '' for none."""

    path: str
    body: Mapping[str, Any]
    names: Sequence[str]
    analyst: str = ""
    aim: float | None = None
    """Of the ratio to the scan."""


WEEKS: Final = {"start": VIEWED, "return": ORDERED, "period": "week", "periods": 8}
CASES: Final[Mapping[str, Case]] = {
    "funnel": Case(
        "funnel", {"steps": STEPS, "window": 604_800}, NAMES[1:4], sql.funnel(NAMES[1:4], START, END, 7), 1.5
    ),
    "funnel with times": Case("funnel", {"steps": STEPS, "window": 604_800, "times": True}, NAMES[1:4], "", 2.0),
    "funnel, strict": Case("funnel", {"steps": STEPS, "window": 604_800, "order": "strict"}, ()),
    "funnel, any order": Case("funnel", {"steps": STEPS, "window": 604_800, "order": "any"}, NAMES[1:4]),
    "retention": Case(
        "retention", WEEKS, (NAMES[1], NAMES[4]), sql.retention((NAMES[1], NAMES[4]), START, END, 8), 2.0
    ),
    "sessions": Case("session", {"table": "track"}, (), sql.sessions(START, END), 3.0),
    "trends, total": Case(
        "trends",
        {"series": [VIEWED | {"measure": "total"}], "interval": "day"},
        NAMES[1:2],
        sql.total(NAMES[1:2], START, END),
        1.3,
    ),
    "trends, actors": Case(
        "trends",
        {"series": [VIEWED | {"measure": "actors"}], "interval": "day"},
        NAMES[1:2],
        sql.actors(NAMES[1:2], START, END),
        2.5,
    ),
    "lifecycle": Case(
        "lifecycle", {"series": [VIEWED], "period": "week"}, NAMES[1:2], sql.lifecycle(NAMES[1:2], START, END)
    ),
    "stickiness": Case(
        "stickiness", {"series": [VIEWED], "period": "day"}, NAMES[1:2], sql.stickiness(NAMES[1:2], START, END)
    ),
    "paths": Case("paths", {"table": "track"}, (), sql.paths(START, END)),
}


class Refused(RuntimeError):
    """Ours gave no answer."""


class Bench:
    """The platform under measurement."""

    def __init__(
        self, platform: Platform, servers: EmbeddedServers, clickhouse: ClickHouse, http: aiohttp.ClientSession
    ):
        self._platform, self._clickhouse, self._http = platform, clickhouse, http
        self._engine = Path(f"/proc/{servers.pid('clickhouse')}")

    async def measure(self, case: Case, rounds: int, *, analyst: bool) -> dict[str, Any]:
        """Return medians in seconds, ratios, and the engine's memory in MB."""
        body = json.dumps({**case.body, **RANGE}).encode()
        statements = {"scan": sql.scan(case.names, START, END)} | (
            {"analyst": case.analyst} if case.analyst and analyst else {}
        )
        await self._ask(case.path, body)
        memory = 0
        taken: dict[str, list[float]] = {"ours": [], **{name: [] for name in statements}}
        for _ in range(rounds):
            # What the statements before have left in the allocator is not ours.
            await self._clickhouse.execute("SYSTEM JEMALLOC PURGE")
            (self._engine / "clear_refs").write_text("5")
            taken["ours"].append(await self._ask(case.path, body))
            memory = max(memory, self._peak())
            for name, statement in statements.items():
                taken[name].append(await self._run(statement))
        ratios = {
            f"÷ {name}": round(statistics.median(a / b for a, b in zip(taken["ours"], taken[name], strict=True)), 2)
            for name in statements
        }
        seconds = {name: round(statistics.median(values), 3) for name, values in taken.items()}
        return {**seconds, **ratios, "aim": case.aim, "memory": memory // 1_000_000}

    async def _ask(self, path: str, body: bytes) -> float:
        begun = time.perf_counter()
        async with self._http.post(f"{self._platform.url}/query/{path}", data=body, headers=HEADERS) as reply:
            text = await reply.read()
            if reply.status != 200:
                raise Refused(text.decode())
        return time.perf_counter() - begun

    async def _run(self, statement: str) -> float:
        begun = time.perf_counter()
        await self._clickhouse.query(statement, query_id=uuid4().hex, timeout=LIMIT_SECONDS)
        return time.perf_counter() - begun

    def _peak(self) -> int:
        for line in (self._engine / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the engine has ended")


async def run(options: argparse.Namespace, servers: EmbeddedServers, platform: Platform) -> dict[str, Any]:
    """Fill, measure, and return figures[state][case]."""
    settings = platform.settings
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=1)
    await clickhouse.start()
    figures: dict[str, Any] = {}
    try:
        await fill(clickhouse, options.rows)
        timeout = aiohttp.ClientTimeout(total=LIMIT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            bench = Bench(platform, servers, clickhouse, http)
            for state in ("merged", "1 % fresh")[: 1 if options.merged else 2]:
                if state != "merged":
                    await freshen(clickhouse, options.rows)
                figures[state] = {}
                for name, case in CASES.items():
                    if not options.only or any(name.startswith(each) for each in options.only):
                        try:
                            found = await bench.measure(case, options.rounds, analyst=not options.scan)
                        except Refused as error:
                            found = {"refused": str(error)}
                        figures[state][name] = found
                        print(f"{options.rows:>11,} {state:<10} {name:<20} {found}", flush=True)
    finally:
        await clickhouse.close()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--merged", action="store_true", help="do without fresh parts")
    parser.add_argument("--scan", action="store_true", help="do without the analyst's statements")
    options = parser.parse_args()
    with (
        embedded_servers() as servers,
        tempfile.TemporaryDirectory() as logs,
        running(servers.settings, Path(logs)) as platform,
    ):
        figures = asyncio.run(run(options, servers, platform))
    print(json.dumps({"bench": "analyses", "rows": options.rows, **figures}))


if __name__ == "__main__":
    main()
