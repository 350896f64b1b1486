"""What a query may cost: the server's limits, narrowed by the workspace's, and what an answer says that reached one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from contracts.errors import DeadlineExceeded, LimitExceeded
from contracts.workspace import Limits
from services.kit.clickhouse import EngineLimit

NO_LIMITS: Final = Limits()
_LESS: Final = "take a shorter range, fewer or rarer events, or fewer groups"
_READ: Final[Mapping[str, tuple[str, str]]] = {
    "max_rows_to_read": ("read at most {:,} rows", "max_rows_to_read"),
    "max_bytes_to_read": ("read at most {:,} bytes", "max_bytes_to_read"),
    "max_memory_usage": ("use at most {:,} bytes of memory", "max_memory_bytes"),
}
"""Of each setting of the engine, what it means, and the name of the limit here: in the workspace's `limits` and, after
ANALYTICS_QUERY_, among the settings."""


def least(server: int, workspace: int | None) -> int:
    """Return the narrower of two limits; 0 is no limit, as the engine has it."""
    return min(server or workspace, workspace) if workspace else server


@contextmanager
def explained(settings: Mapping[str, Any]) -> Iterator[None]:
    """Say which limit a statement with these settings reached, and what would help.

    Raises:
        LimitExceeded, DeadlineExceeded: in place of those that say less.
    """
    try:
        yield
    except EngineLimit as error:
        known = _READ.get(error.setting)
        if known is None:
            raise LimitExceeded(f"{error.detail}: {_LESS}") from error
        what, name = known
        where = f"the workspace's limits.{name} and ANALYTICS_QUERY_{name.upper()} set this"
        raise LimitExceeded(f"the query may {what.format(settings[error.setting])}: {_LESS}; {where}") from error
    except DeadlineExceeded as error:
        where = "the workspace's limits.max_seconds and ANALYTICS_REQUEST_TIMEOUT_SECONDS set how long it may take"
        raise DeadlineExceeded(f"the query was stopped when its time was over: {_LESS}; {where}") from error
