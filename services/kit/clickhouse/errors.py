"""What goes wrong with ClickHouse, as the platform's errors."""

from __future__ import annotations

import re
import struct
from typing import Final

from asynch.errors import (
    ErrorCode,
    NetworkError,
    OperationalError,
    ServerException,
    UnexpectedPacketFromServerError,
    UnknownPacketFromServerError,
)

from contracts.errors import CdpError, LimitExceeded, TooManyRequests, Unavailable

LOST: Final = (
    OSError,  # refused, reset; TimeoutError is one
    EOFError,
    IndexError,  # this and the next: asynch 0.4.0 reads on where the bytes ended
    struct.error,
    NetworkError,
    OperationalError,  # closed in the middle of a packet
    UnexpectedPacketFromServerError,
    UnknownPacketFromServerError,
)
"""What a connection raises when the server on its other side is gone."""

_SETTINGS: Final = {
    158: "max_rows_to_read",
    159: "max_execution_time",
    160: "max_execution_time",
    241: "max_memory_usage",
    307: "max_bytes_to_read",
}
"""The setting behind a limit that the caller of a statement chooses."""
_LIMITS: Final = {
    158: "rows to read",
    159: "execution time",
    160: "execution time",
    161: "columns to read",
    162: "nesting of subqueries",
    167: "depth of the query",
    168: "size of the query",
    191: "values in a set",
    201: "the quota of this user",
    241: "memory",
    290: "a limit of a table",
    306: "depth of the query",
    307: "bytes to read",
    396: "rows or bytes of the result",
    472: "rows of a join",
    597: "partitions to read",
}
_AWAY: Final = frozenset({3, 32, 203, 209, 210, 225, 236, 242, 243, 279, 425, 439, 519, 735, 999})
"""Shutting down, replicas or disks not there, queries stopped by an operator: asking again later may help."""
_TOO_MANY_QUERIES: Final = 202
_STOPPED: Final = 394
_NAMES: Final = {value: name for name, value in vars(ErrorCode).items() if isinstance(value, int)}
_NAME_AT_END: Final = re.compile(r"\(([A-Z][A-Z0-9_]+)\)\s*(?:\(version [^)]*\))?\s*$")


class EngineLimit(LimitExceeded):
    """A statement reached a limit of the engine; `setting` is its name there, '' for one the server has fixed."""

    def __init__(self, detail: str, setting: str) -> None:
        super().__init__(detail)
        self.setting = setting


class QueryStopped(Unavailable):
    """A statement was stopped on the server (KILL QUERY), by somebody who had the right to."""


class ClickHouseError(Exception):
    """The server refused a statement: a fault of ours, or of what the caller gave. Never shown to callers as it is.

    `code` and `name` are ClickHouse's (62, SYNTAX_ERROR); `message` is the server's text, which may hold SQL.
    """

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"ClickHouse {code} {name}: {message}")
        self.code, self.name, self.message = code, name, message


def unavailable() -> Unavailable:
    """Return the error of a server that does not answer."""
    return Unavailable("ClickHouse does not answer", retry_after=1)


def from_server(error: ServerException) -> CdpError | ClickHouseError:
    """Translate an exception the server sent over the native protocol."""
    return from_code(int(error.code or 0), str(error.message))


def from_code(code: int, message: str) -> CdpError | ClickHouseError:
    """Translate ClickHouse's code and text."""
    if code in _LIMITS:
        return EngineLimit(f"the query needs more than it may use: {_LIMITS[code]}", _SETTINGS.get(code, ""))
    if code == _TOO_MANY_QUERIES:
        return TooManyRequests("ClickHouse runs as many queries as it may", retry_after=1)
    if code == _STOPPED:
        return QueryStopped("the query was stopped on the server", retry_after=1)
    if code in _AWAY:
        return unavailable()
    found = _NAME_AT_END.search(message)
    return ClickHouseError(code, found[1] if found else _NAMES.get(code, "UNKNOWN"), message)
