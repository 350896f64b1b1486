"""Cached answers a second, as a share of a bare aiohttp handler's that returns the same bytes.

    python -m tests.bench.cached [--seconds 2] [--rounds 7] [--bytes 4000]

Both servers run in a process of their own, the gateway with its access log (to a file). The load comes from `wrk` when
it is installed, otherwise from an asyncio client, which then is the slower part: ratios come out too kind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nats
from aiohttp import ClientSession, TCPConnector, web

from contracts.base import encode
from tests.integration.gateway_support import ASK, WORKSPACE, Responder, nats_and_redis
from tests.platform import environment, free_port

CONNECTIONS = 32
HEADERS = {"Content-Type": "application/json", "X-Workspace-Id": WORKSPACE}
REQUEST = encode(ASK)


def answer(size: int) -> bytes:
    """Return a JSON answer of about `size` bytes."""
    rows = [
        {"timestamp": "2026-01-31T09:00:00.000Z", "actor": {"kind": "user", "id": f"u{n:06}"}} for n in range(9_999)
    ]
    kept: list[object] = []
    for row in rows:
        if len(encode(kept)) > size:
            break
        kept.append(row)
    return encode({"data": kept, "next_cursor": None})


def serve_bare(port: int, size: int) -> None:
    """Serve the answer with nothing but aiohttp."""
    body = answer(size)

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/query/events", handle)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


def measure(port: int, seconds: float, folder: Path) -> float:
    """Return requests a second."""
    url = f"http://127.0.0.1:{port}/query/events"
    wrk = shutil.which("wrk")
    if wrk is None:
        return asyncio.run(_measure_here(url, seconds))
    script = folder / "post.lua"
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in HEADERS.items())
    script.write_text(f'wrk.method = "POST"\nwrk.body = [[{REQUEST.decode()}]]\n{headers}\n')
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in output, output
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    return float(found[1])


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used: unlike its speed it does not depend on what else runs here."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure_here(url: str, seconds: float) -> float:
    done = 0
    until = time.monotonic() + seconds

    async def ask(session: ClientSession) -> None:
        nonlocal done
        while time.monotonic() < until:
            async with session.post(url, data=REQUEST, headers=HEADERS) as response:
                await response.read()
                assert response.status == 200
            done += 1

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session) for _ in range(CONNECTIONS)))
    return done / seconds


def wait_for(port: int, path: str, *, post: bool = False) -> None:
    """Wait until a server answers with 200."""
    deadline = time.monotonic() + 20
    while True:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", data=REQUEST if post else None, headers=HEADERS if post else {}
        )
        try:
            with urllib.request.urlopen(request, timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


async def _respond(url: str, body: bytes) -> None:
    connection = await nats.connect(url)
    responder = Responder(connection)
    responder.respond = lambda message: responder.reply(message, body)
    await responder.start()
    await asyncio.Event().wait()


def main() -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bytes", type=int, default=4_000)
    parser.add_argument("--serve", choices=("bare", "responder"), help=argparse.SUPPRESS)
    parser.add_argument("--at", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve == "bare":
        return serve_bare(int(options.at), options.bytes)
    if options.serve == "responder":
        return asyncio.run(_respond(options.at, answer(options.bytes)))
    folder = Path(tempfile.mkdtemp(prefix="cdp-bench-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with nats_and_redis() as servers, (folder / "log").open("wb") as log:
            bare, cached = free_port(), free_port()
            # An answer lives longer than the bench, or a few requests of it would be computed.
            settings = {"ANALYTICS_API_PORT": str(cached), "ANALYTICS_CACHE_TTL_QUERY_SECONDS": "3600"}
            this = [sys.executable, "-m", "tests.bench.cached", f"--bytes={options.bytes}"]
            for command, extra in (
                ([*this, "--serve=bare", f"--at={bare}"], {}),
                ([*this, "--serve=responder", f"--at={servers.settings.nats_url}"], {}),
                ([sys.executable, "-m", "gateway.main"], environment(servers.settings) | settings),
            ):
                processes.append(subprocess.Popen(command, env=os.environ | extra, stdout=log, stderr=log))
            wait_for(bare, "/query/events", post=True)
            wait_for(cached, "/query/events", post=True)
            rates: dict[str, list[float]] = {"bare": [], "cached": []}
            costs: dict[str, list[float]] = {"bare": [], "cached": []}
            for _ in range(options.rounds):
                for name, process, port in (("bare", processes[0], bare), ("cached", processes[2], cached)):
                    before = cpu_seconds(process.pid)
                    rate = measure(port, options.seconds, folder)
                    rates[name].append(rate)
                    costs[name].append((cpu_seconds(process.pid) - before) / (rate * options.seconds) * 1e6)
    finally:
        for process in processes:
            process.terminate()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    cpu = {name: statistics.median(values) for name, values in costs.items()}
    print(
        json.dumps(
            {
                "bench": "cached",
                "load": "wrk" if shutil.which("wrk") else "aiohttp",
                "bytes": len(answer(options.bytes)),
                "bare_per_second": round(medians["bare"]),
                "cached_per_second": round(medians["cached"]),
                "ratio": round(medians["cached"] / medians["bare"], 3),
                "bare_cpu_us": round(cpu["bare"]),
                "cached_cpu_us": round(cpu["cached"]),
                "cpu_ratio": round(cpu["bare"] / cpu["cached"], 3),
            }
        )
    )
    return None


if __name__ == "__main__":
    main()
