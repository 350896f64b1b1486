"""Wall 4: which servers run custom SQL at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

FIXED: Final[Mapping[tuple[int, int], tuple[int, int]]] = {
    (26, 3): (27, 4),
    (26, 6): (4, 51),
    (26, 7): (6, 49),
    (26, 8): (2, 2),
}
"""Of each release, the first patch in which SETTINGS within a sub-query no longer skip readonly and constraints
(ClickHouse issue 116028). The fixes for `loop`, `mergeTreeIndex` and `mergeTreeProjection` are older."""
_FIRST: Final = (26, 9)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)")


def version_problem(version: str) -> str | None:
    """Return why a server of this version must not run custom SQL, None when it may."""
    found = _VERSION.match(version)
    if found is None:
        return "the version of ClickHouse is not known"
    year, month, minor, patch = map(int, found.groups())
    if (year, month) >= _FIRST or (minor, patch) >= FIXED.get((year, month), (10**9, 0)):
        return None
    least = ", ".join(".".join(map(str, release + patch_)) for release, patch_ in FIXED.items())
    return f"this version of ClickHouse lets sub-queries change settings: it takes 26.9, or one of {least} or later"
