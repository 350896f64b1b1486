"""How fast `cdp load` is, end to end: `python -m tests.bench.loading [online_retail.csv.gz] [--rounds 3]`.

Prints JSON with medians over the rounds:

- `order_lines`: events/s of order lines through the bundled mapping's first event (a generated look-alike of the file
  without a path);
- `order_lines_invoices_customers`: of the whole mapping, which groups the lines by invoice and by customer, too.
- `segment_calls`: events/s of Segment calls of about 1.5 kB, those of the engine's own `INSERT … FORMAT JSONEachRow` of
  the same rows through the same HTTP interface in the same run, and the ratio of the two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import aiohttp
import msgspec
from asynch.proto.utils.dsn import parse_dsn

from deploy.cli.load.command import load_source, tune_memory
from deploy.cli.load.insert import WRITER_SETTINGS
from deploy.cli.load.mapping import Mapping, read_mapping
from deploy.cli.load.opening import open_input
from deploy.cli.load.rejects import Rejects
from deploy.cli.load.report import Report
from deploy.cli.load.source import recognise
from services.kit.settings import Settings
from tests.infra import embedded_servers
from tests.lookalike import order_lines, segment_calls


def load_seconds(path: Path, mapping: Mapping | None, settings: Settings) -> tuple[int, float]:
    """Load a file into a new workspace; return events and seconds, hashing and the first connection included."""
    started = time.perf_counter()
    with open_input(str(path)) as source:
        found = recognise(source, mapping)
        report = Report(path.name, source.size, quiet=True)
        summary = asyncio.run(load_source(found, mapping, settings, uuid4(), Rejects(None), report))
    assert summary.rejected == 0, summary.reasons
    return summary.loaded, time.perf_counter() - started


async def engine_seconds(body: bytes, settings: Settings) -> float:
    """Return the seconds of one INSERT of table rows as JSON."""
    login = parse_dsn(settings.clickhouse_url)
    headers = {"X-ClickHouse-User": str(login["user"]), "X-ClickHouse-Key": str(login.get("password", ""))}
    parameters = {
        "database": "cdp",
        "query": "INSERT INTO events_track FORMAT JSONEachRow",
        "date_time_input_format": "best_effort",
        **WRITER_SETTINGS,
    }
    async with aiohttp.ClientSession(headers=headers) as session:
        started = time.perf_counter()
        async with session.post(settings.clickhouse_http_url, params=parameters, data=body) as answer:
            text = await answer.text()
            assert answer.status == 200, text
    return time.perf_counter() - started


def table_rows(calls: list[bytes]) -> bytes:
    """Return the calls as rows of events_track in JSON, in a workspace of their own."""
    workspace = str(uuid4())
    rows = []
    for line in calls:
        call = msgspec.json.decode(line)
        rows.append(
            msgspec.json.encode(
                {
                    "workspace_id": workspace,
                    "message_id": call["messageId"],
                    "user_id": call["userId"],
                    "anonymous_id": call["anonymousId"],
                    "timestamp": call["timestamp"],
                    "received_at": call["timestamp"],
                    "event": call["event"],
                    "properties": call["properties"],
                    "context": call["context"],
                }
            )
        )
    return b"\n".join(rows)


def measure(settings: Settings, retail: Path | None, rounds: int, lines: int, calls: int) -> dict[str, object]:
    """Run all rounds and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = retail or Path(folder) / "orders.csv"
        if retail is None:
            path.write_bytes(b"\n".join(order_lines(lines)))
        whole = read_mapping("online_retail")
        mapping = msgspec.structs.replace(whole, events=whole.events[:1])
        segment = list(segment_calls(calls))
        ndjson = Path(folder) / "calls.ndjson"
        ndjson.write_bytes(b"\n".join(segment))
        order_rates, everything, ours, engine = [], [], [], []
        for _ in range(rounds):
            events, seconds = load_seconds(path, mapping, settings)
            order_rates.append(events / seconds)
            events, seconds = load_seconds(path, whole, settings)
            everything.append(events / seconds)
            events, seconds = load_seconds(ndjson, None, settings)
            ours.append(events / seconds)
            engine.append(len(segment) / asyncio.run(engine_seconds(table_rows(segment), settings)))
    ratios = [a / b for a, b in zip(ours, engine, strict=True)]
    return {
        "file": path.name if retail else f"{lines} generated order lines",
        "order_lines": {"events_per_second": round(statistics.median(order_rates)), "goal": 100_000},
        "order_lines_invoices_customers": {
            "events_per_second": round(statistics.median(everything)),
            "of_each_round": list(map(round, everything)),
            "goal": 100_000,
        },
        "segment_calls": {
            "bytes_per_call": round(statistics.mean(map(len, segment))),
            "events_per_second": round(statistics.median(ours)),
            "engine_events_per_second": round(statistics.median(engine)),
            "ratio": round(statistics.median(ratios), 2),
            "ratios": [round(ratio, 2) for ratio in ratios],
            "goal": 0.7,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="online_retail.csv.gz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--calls", type=int, default=60_000)
    given = parser.parse_args()
    tune_memory()
    with embedded_servers() as servers:
        print(json.dumps(measure(servers.settings, given.file, given.rounds, given.lines, given.calls), indent=2))


if __name__ == "__main__":
    main()
