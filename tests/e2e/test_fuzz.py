"""Requests made from the OpenAPI document: no 500, and no answer that the document does not describe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.operations import OPERATIONS
from tests.api import Api

_EXAMPLES = os.environ.get("CDP_FUZZ_EXAMPLES", "4")
"""Random requests of each operation."""
_CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.timeout(600)
def test_fuzzing_the_document_finds_no_500_and_no_answer_it_does_not_describe(shop: Api, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(_CONFIG)),
            *("run", shop.url + "/openapi.json"),
            *("--header", f"X-Workspace-Id: {shop.workspace}"),
            # Its phases that enumerate a schema's corners do not come to an end with predicates inside predicates.
            *("--phases", "fuzzing", "--mode", "all"),
            *("--max-examples", _EXAMPLES, "--seed", "1", "--generation-deterministic", "--no-color"),
            *("--continue-on-failure", "--request-timeout", "20"),
            # A request of the right form may ask for what cannot be, a field that no table has: that is a 400.
            *("--exclude-checks", "positive_data_acceptance"),
            # Requests that hold predicates several times over take long to make up.
            *("--suppress-health-check", "all"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    print(done.stdout[-1_500:])
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    assert int(tested[1]) >= len(OPERATIONS), "each operation was fuzzed"
