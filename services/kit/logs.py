"""Structured logs: one JSON object a line on stderr.

Say what happened and to which request; never user ids, traits, bodies or SQL: logs live longer than a deletion.
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from contracts.base import encode

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request being worked on; every line logged meanwhile carries it."""

logger: Final = logging.getLogger("cdp")
_FIELDS: Final = "fields"
_CODES: Final = ("code", "name", "sqlstate", "errno")
"""Attributes by which ClickHouse's, PostgreSQL's and the system's errors name themselves, without quoting anything."""
_CAUSES: Final = 5


class JsonFormatter(logging.Formatter):
    """Formats a record as ``{"time", "level", "service", "instance", "message", "request_id", …}``."""

    def __init__(self, service: str, instance: str):
        super().__init__()
        self._service = service
        self._instance = instance

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "instance": self._instance,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        line.update(getattr(record, _FIELDS, {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
        return encode(line).decode()


def describe(error: BaseException) -> str:
    """Return where an exception and its causes came from and of what type and code they are.

    Not what they say: drivers quote the statement, or the value that they could not take.
    """
    parts: list[str] = []
    following: BaseException | None = error
    while following is not None and len(parts) < _CAUSES:
        codes = (getattr(following, name, None) for name in _CODES)
        said = [type(following).__qualname__, *(str(code) for code in codes if isinstance(code, str | int))]
        parts.append("".join(traceback.format_tb(following.__traceback__)) + " ".join(said))
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return "\nraised from\n".join(parts)


def configure(level: str, service: str, instance: str) -> None:
    """Make this process log JSON lines to stderr at `level` (debug, info, warning, error)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, instance))
    # What the format does not use is not collected (logging's own advice on cost).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiohttp.access", "nats", "asyncio", "opentelemetry"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def log(level: int, message: str, *, error: BaseException | None = None, **fields: Any) -> None:
    """Log a line with fields (`operation`, `status`, `elapsed_ms`, `workspace`, …)."""
    if logger.isEnabledFor(level):
        logger.log(level, message, exc_info=error, extra={_FIELDS: fields})
