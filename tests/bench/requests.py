"""What the platform costs: a request, a second replica, a streamed row, each beside its bare counterpart.

    python -m tests.bench.requests [--rows 1000000] [--rounds 30]

Prints one JSON object. Ratios are medians over pairs measured in turn; the baseline is `tests/bench/bare.py`, which
runs the very SQL the platform compiles. `request`: uncached, one at a time; `replicas`: uncached requests a second of
one and of two query processes, 16 clients; `stream`: NDJSON rows a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from contracts.events import EventsRequest
from services.kit.clickhouse import ClickHouse
from services.query.events_sql import Rows, Span, columns_of
from services.query.frame import Frame
from tests.infra import embedded_servers
from tests.platform import Platform, free_port, running

WORKSPACE = UUID("00000000-0000-4000-8000-00000000be0c")
AS_OF = "2026-07-01T00:00:00Z"
ASK = {"table": "track", "names": ["Order Completed"], "from": "2026-06-30", "as_of": AS_OF, "limit": 50}
WHOLE = {"table": "track", "as_of": AS_OF, "columns": ["timestamp", "event", "user_id", "properties"]}
HEADERS = {"X-Workspace-Id": str(WORKSPACE), "Content-Type": "application/json", "Cache-Control": "no-cache"}
STREAMS = 7
"""Pairs of streams measured of each order."""
MONTH = (datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
"""That of all rows."""
FILL = """
INSERT INTO cdp.events_track
    (workspace_id, message_id, user_id, anonymous_id, timestamp, received_at, event, properties, context)
SELECT '{workspace}', toString(number), concat('u', toString(number % 20000)), '',
    toDateTime64('2026-06-01 00:00:00', 3, 'UTC') + toIntervalMillisecond(intDiv(number * 2592000000, {rows})),
    now64(3), ['Product Viewed', 'Product Added', 'Order Completed'][1 + cityHash64(number) % 3],
    concat('{{"price":', toString(number % 997 / 10), ',"sku":"S-', toString(number % 5000), '","currency":"EUR"}}'),
    '{{"locale":"de-DE","page":{{"path":"/products"}}}}'
FROM numbers({start}, {count})
"""


def compiled(body: dict[str, Any], *, order: str, between: Span | None = None) -> str:
    """Return the SQL the query service runs for a request (a stream's month: `between`), whose first column is the
    row."""
    request = msgspec.convert(body | {"order": order}, EventsRequest)
    end = datetime.fromisoformat(AS_OF).astimezone(UTC)
    start = datetime(2026, 6, 30, tzinfo=UTC) if request.from_ else None
    frame = Frame(workspace=WORKSPACE, tables=("track",), timezone="UTC", as_of=end, start=start, end=end, pinned=True)
    rows = Rows(request=request, frame=frame, columns=columns_of(request, frame), shape="ndjson")
    return rows.sql(limit=request.limit, between=between)


async def fill(platform: Platform, rows: int, workspace: UUID = WORKSPACE) -> None:
    """Insert the rows of a workspace, a block at a time."""
    settings = platform.settings
    clickhouse = ClickHouse(settings.clickhouse_url, settings.clickhouse_http_url, size=1)
    await clickhouse.start()
    block = 100_000
    for start in range(0, rows, block):
        count = min(block, rows - start)
        await clickhouse.execute(FILL.format(workspace=workspace, rows=rows, start=start, count=count), timeout=600)
    await clickhouse.execute("OPTIMIZE TABLE cdp.events_track FINAL", timeout=600)
    await clickhouse.close()


async def timed(http: aiohttp.ClientSession, url: str, body: bytes) -> float:
    """Return the seconds one request takes."""
    begun = time.perf_counter()
    async with http.post(url, data=body, headers=HEADERS) as reply:
        await reply.read()
        assert reply.status == 200
    return time.perf_counter() - begun


async def lines_a_second(http: aiohttp.ClientSession, url: str, body: bytes, encoding: str = "identity") -> float:
    """Return the rows a second of one NDJSON answer. Of two answers that are compared both must be plain or both
    compressed: aiohttp's client asks for gzip by itself, which the baseline does not do."""
    headers = HEADERS | {"Accept": "application/x-ndjson", "Accept-Encoding": encoding}
    begun, lines = time.perf_counter(), 0
    async with http.post(url, data=body, headers=headers) as reply:
        assert reply.status == 200
        async for chunk in reply.content.iter_any():
            lines += chunk.count(b"\n")
    return lines / (time.perf_counter() - begun)


async def throughput(http: aiohttp.ClientSession, url: str, body: bytes, seconds: float) -> float:
    """Return uncached requests a second of 16 clients."""
    until, done = time.perf_counter() + seconds, 0

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await timed(http, url, body)
            done += 1

    await asyncio.gather(*(ask() for _ in range(16)))
    return done / seconds


async def ready(http: aiohttp.ClientSession, url: str, body: bytes) -> None:
    """Wait until a baseline answers."""
    for _ in range(100):
        try:
            await timed(http, url, body)
        except (aiohttp.ClientError, AssertionError):
            await asyncio.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} does not answer")


async def measure(platform: Platform, rows: int, rounds: int) -> dict[str, Any]:
    """Return the figures."""
    await fill(platform, rows)
    ports = {name: free_port() for name in ("gateway", "stream")}
    platform.start("bare-service", "tests.bench.bare", arguments=["service"])
    for name, port in ports.items():
        platform.start(f"bare-{name}", "tests.bench.bare", {"ANALYTICS_API_PORT": str(port)}, [name])
    ours = platform.url + "/query/events"
    bare, bare_stream = (f"http://127.0.0.1:{ports[name]}/" for name in ("gateway", "stream"))
    ask, sql = json.dumps(ASK).encode(), compiled(ASK, order="newest").encode()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        await ready(http, bare, sql)
        await ready(http, bare_stream, sql)
        pairs = [(await timed(http, ours, ask), await timed(http, bare, sql)) for _ in range(rounds)]
        figures: dict[str, Any] = {
            "request": {
                "ours_ms": round(statistics.median(pair[0] for pair in pairs) * 1000, 2),
                "bare_ms": round(statistics.median(pair[1] for pair in pairs) * 1000, 2),
                "ratio": round(statistics.median(pair[0] / pair[1] for pair in pairs), 2),
                "aim": "<= 1.5",
            }
        }
        for order in ("unordered", "newest"):
            whole = json.dumps(WHOLE | {"order": order}).encode()
            plain = compiled(WHOLE, order=order, between=MONTH).encode()
            rates = [
                (await lines_a_second(http, ours, whole), await lines_a_second(http, bare_stream, plain))
                for _ in range(STREAMS)
            ]
            gzip = statistics.median([await lines_a_second(http, ours, whole, "gzip") for _ in range(3)])
            figures[f"stream_{order}"] = {
                "rows": rows,
                "ours_rows_per_second": round(statistics.median(rate[0] for rate in rates)),
                "ours_gzip_rows_per_second": round(gzip),
                "bare_rows_per_second": round(statistics.median(rate[1] for rate in rates)),
                "ratio": round(statistics.median(rate[0] / rate[1] for rate in rates), 2),
                "aim": ">= 0.7",
            }
        one = statistics.median([await throughput(http, ours, ask, 3) for _ in range(3)])
        platform.start("query-2", "services.query.main")
        await asyncio.sleep(5)
        two = statistics.median([await throughput(http, ours, ask, 3) for _ in range(3)])
        figures["replicas"] = {"one_per_second": round(one), "two_per_second": round(two), "ratio": round(two / one, 2)}
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    with (
        embedded_servers() as servers,
        tempfile.TemporaryDirectory() as logs,
        running(servers.settings, Path(logs)) as platform,
    ):
        figures = asyncio.run(measure(platform, options.rows, options.rounds))
    print(json.dumps({"bench": "requests", **figures}))


if __name__ == "__main__":
    main()
