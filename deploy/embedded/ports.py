"""Choosing TCP ports on the loopback address."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
# Below the range Linux takes outgoing ports from: a server that restarts finds its port still free.
_SPARE = range(20_000, 32_000)


def is_free(port: int, host: str = HOST) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


class Ports:
    """Hands out ports, never the same one twice."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def choose(self, *preferred: int) -> int:
        """Return the first preferred port that is free, else any free one."""
        for port in (*preferred, *random.sample(_SPARE, 200)):
            if port and port not in self._taken and is_free(port):
                self._taken.add(port)
                return port
        raise OSError("no free TCP port on the loopback address")
