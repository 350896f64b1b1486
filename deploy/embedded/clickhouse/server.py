"""Starts the engine and both listeners, waits for a signal, stops in order."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

from . import users
from .background import yield_to_queries
from .dictionaries import keep_fresh
from .engine import Engine
from .http import HttpServer
from .http_sessions import HttpSessions
from .registry import Registry
from .tcp import TcpServer

WORKERS = 64
"""Queries that run at once; more wait their turn."""

GRACE = 1.0
"""Seconds for running queries to end when the process is told to stop."""

log = logging.getLogger("clickhouse")


async def serve(arguments: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT. Raises ServerError, OSError or ValueError when it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    known = users.load(arguments.users)
    engine = Engine(arguments.data, arguments.memory_limit, arguments.threads, WORKERS)
    registry = Registry(engine)
    sessions = HttpSessions()
    tcp = TcpServer(engine, registry, known)
    http = HttpServer(engine, registry, known, sessions)
    background = [asyncio.create_task(each) for each in (keep_fresh(engine), sessions.expire(), yield_to_queries())]
    try:
        await tcp.start(arguments.host, arguments.tcp_port)
        await http.start(arguments.host, arguments.http_port)
        log.info("ready: native protocol on %s:%d, HTTP on %d", arguments.host, arguments.tcp_port, arguments.http_port)
        await stop.wait()
        log.info("stopping")
        await _stop_queries(registry)
        await http.stop()
        await tcp.stop()
    finally:
        for task in background:
            task.cancel()
        engine.close()


async def _stop_queries(registry: Registry) -> None:
    running = registry.all()
    if running:
        await asyncio.wait([asyncio.create_task(registry.kill(one, "shutdown")) for one in running], timeout=GRACE)
