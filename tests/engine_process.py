"""The engine in a process of its own, as the user that a configuration file makes it: `python -m tests.engine_process`.

Statements come as lines of JSON on standard input, answers go to standard output. A process has one user, so every user
that a test wants to be takes a process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

_CODE = re.compile(r"Code: (\d+)")
_PROJECT = Path(__file__).resolve().parents[1]


class EngineProcess:
    """Runs statements one after the other on a folder of data."""

    def __init__(self, data: Path, config: Path) -> None:
        """`config`: the engine's configuration file, which names the file of its users."""
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.engine_process", f"{data}?config-file={config}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=config.parent,
            env={**os.environ, "PYTHONPATH": str(_PROJECT), "TZ": "UTC"},
        )

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.communicate()

    def run(self, statement: str, format_: str = "TSV") -> tuple[int, str]:
        """Return 0 and the result, or the engine's error code and text."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps([statement, format_]).encode() + b"\n")
        self._child.stdin.flush()
        code, text = json.loads(self._child.stdout.readline())
        return code, text


def _serve(path: str) -> None:
    import chdb

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what the engine itself prints is no answer
    engine: Any = chdb._chdb
    connection = engine.connect(path)
    for line in sys.stdin.buffer:
        statement, format_ = json.loads(line)
        try:
            result = connection.query(statement.encode("utf-8", "surrogatepass"), format_)
            answer = [0, "" if result is None else bytes(result.bytes()).decode("utf-8", "replace")]
        except (RuntimeError, ValueError) as error:
            found = _CODE.search(str(error))
            answer = [int(found[1]) if found else -1, str(error)]
        answers.write(json.dumps(answer).encode() + b"\n")
    connection.close()


if __name__ == "__main__":
    _serve(sys.argv[1])
