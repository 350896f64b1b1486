"""Merges take what queries and inserts leave: the engine's own setting for this has no effect in a library."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

_MERGES: Final = "MergeMutate"
"""The engine's name for threads that merge and mutate: made with the first table, they live as long as the engine."""
_NICE: Final = 5
"""About a third of what a thread that answers somebody gets, and all of what is left over (sched(7))."""
_TASKS: Final = Path("/proc/self/task")
_LOOK_SECONDS: Final = 1.0


async def yield_to_queries() -> None:
    """Lower the priority of this process's merging threads, as soon as there are any. Needs no privilege; does nothing
    where there is no /proc."""
    while _TASKS.exists() and not _lower():  # noqa: ASYNC110 - nobody tells; no disk
        await asyncio.sleep(_LOOK_SECONDS)


def _lower() -> bool:
    found = False
    for task in _TASKS.iterdir():
        with contextlib.suppress(OSError):  # a thread may just have ended
            if (task / "comm").read_text().strip() == _MERGES:
                os.setpriority(os.PRIO_PROCESS, int(task.name), _NICE)
                found = True
    return found
