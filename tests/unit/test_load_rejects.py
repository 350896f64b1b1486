"""The reject file of a load."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.cli.load.rejects import Rejects


def test_a_reject_file_of_an_earlier_load_is_removed(tmp_path: Path) -> None:
    old = tmp_path / "rejects.ndjson"
    old.write_text("{}")
    Rejects(old).close()
    assert not old.exists()


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    Rejects(pipe).close()
    assert pipe.is_fifo()
