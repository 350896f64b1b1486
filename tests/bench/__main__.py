"""All measurements, one after the other: ``python -m tests.bench [name …]``, or ``make bench``.

What each prints, with its JSON, is also kept in ``tests/bench/results/<name>.txt``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = (
    "requests",
    "cached",
    "loading",
    "layout",
    "layout_names",
    "analyses",
    "sql",
    "profiles",
    "profiles_timeline",
    "profiles_reads",
)
RESULTS = Path(__file__).parent / "results"


def main(names: list[str]) -> int:
    """Run the named measurements, or all; return the number that failed."""
    if unknown := set(names) - set(NAMES):
        print(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
        return len(unknown)
    RESULTS.mkdir(exist_ok=True)
    failed = 0
    for name in names or NAMES:
        print(f"\n== {name}", flush=True)
        with (RESULTS / f"{name}.txt").open("w") as kept:
            process = subprocess.Popen(
                [sys.executable, "-m", f"tests.bench.{name}"], stdout=subprocess.PIPE, stderr=sys.stderr, text=True
            )
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                kept.write(line)
            failed += process.wait() != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
