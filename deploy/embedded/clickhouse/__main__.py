"""``python -m deploy.embedded.clickhouse --data DIR --tcp-port N --http-port N --users FILE``."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="clickhouse", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, for this process alone")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--tcp-port", type=int, required=True, help="port of the native protocol")
    parser.add_argument("--http-port", type=int, required=True, help="port of the HTTP interface")
    parser.add_argument("--users", type=Path, required=True, help="JSON file: name, password, readonly, settings")
    parser.add_argument("--memory-limit", type=int, default=2 << 30, help="bytes the engine may allocate (2 GiB)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2, help="threads per query (default: cores)")
    return parser.parse_args()


def _die_with_parent() -> None:
    """Linux: get SIGTERM when the process that started this one ends, however it ends."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(0)


def main() -> int:
    arguments = _arguments()
    _die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    log = logging.getLogger("clickhouse")
    # Paths first: the engine reads a config.xml of the working directory, so it works in a folder without one.
    arguments.data = arguments.data.resolve()
    arguments.users = arguments.users.resolve()
    work = arguments.data / "work"
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    os.environ["TZ"] = "UTC"
    from .errors import ServerError
    from .server import serve

    try:
        asyncio.run(serve(arguments))
    except (ServerError, OSError, ValueError) as error:
        log.error("%s", getattr(error, "message", error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
