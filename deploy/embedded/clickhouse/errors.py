"""ClickHouse exceptions: a numeric code, a symbolic name and a message, as every client expects them."""

from __future__ import annotations

import re

NAMES = {
    10: "NOT_FOUND_COLUMN_IN_BLOCK",
    36: "BAD_ARGUMENTS",
    40: "CHECKSUM_DOESNT_MATCH",
    48: "NOT_IMPLEMENTED",
    62: "SYNTAX_ERROR",
    81: "UNKNOWN_DATABASE",
    99: "UNKNOWN_PACKET_FROM_CLIENT",
    101: "UNEXPECTED_PACKET_FROM_CLIENT",
    115: "UNKNOWN_SETTING",
    117: "INCORRECT_DATA",
    131: "TOO_LARGE_STRING_SIZE",
    164: "READONLY",
    216: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    271: "CANNOT_DECOMPRESS",
    358: "INTO_OUTFILE_NOT_ALLOWED",
    373: "SESSION_IS_LOCKED",
    394: "QUERY_WAS_CANCELLED",
    446: "FUNCTION_NOT_ALLOWED",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
    1001: "STD_EXCEPTION",
}
"""Of the errors raised here; the engine names its own."""

_ENGINE = re.compile(r"Code: (\d+)\. DB::Exception: (.*)", re.DOTALL)
_NAME = re.compile(r"\s*\(([A-Z][A-Z0-9_]+)\)\.?\s*$")
_VERSION = re.compile(r" ?\(version [\d.]+( \(official build\))?\)")


class ServerError(Exception):
    """An error with ClickHouse's own code and name; ``message`` bears neither.

    ``text`` is what a client shows: ``DB::Exception: <message> (<NAME>)``.
    """

    def __init__(self, code: int, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name or NAMES.get(code, "UNKNOWN_EXCEPTION")
        self.message = message

    @property
    def text(self) -> str:
        return f"DB::Exception: {self.message} ({self.name})"


def from_engine(error: BaseException) -> ServerError:
    """The engine reports every error as ``Code: N. DB::Exception: … (NAME)``, at times nested or with its version."""
    text = _VERSION.sub("", str(error))
    match = _ENGINE.search(text)
    if match is None:
        return ServerError(1001, text.strip() or type(error).__name__)
    code, message = int(match[1]), match[2].strip()
    nested = _ENGINE.match(message)
    if nested is not None:
        code, message = int(nested[1]), nested[2].strip()
    name = None
    while (tail := _NAME.search(message)) is not None:
        name = name or tail[1]
        message = message[: tail.start()]
    return ServerError(code, message, name)


class ProtocolError(ServerError):
    """The bytes of a client cannot be followed any further: it is told, and its connection ends."""
