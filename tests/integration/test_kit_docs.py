"""The examples of docs/messaging.md work as they are printed, but for the operation they call."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from contracts import headers as names
from services.kit import streaming
from services.kit.settings import Settings
from tests.integration import kit_probe as kit
from tests.integration.kit_probe import ProbeService, serving

TEXT = (kit.PROJECT / "docs/messaging.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    with kit.nats_server() as server:
        async with serving(ProbeService(), Settings(nats_url=server.url)):
            yield server.url


async def _run(example: str, url: str, request: str, subject: str) -> subprocess.CompletedProcess[bytes]:
    code = re.sub(r"json\.dumps\((request|\{.*?\})\)\.encode\(\)", f"b'{request}'", example)
    code = code.replace("cdp.query.v1.events", subject)
    environment = {"PATH": os.environ["PATH"], "ANALYTICS_NATS_URL": url, "WORKSPACE": str(kit.WORKSPACE)}
    command = [sys.executable, "-c", code]
    return await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, timeout=30)


async def test_the_request_example_prints_the_answer(url: str) -> None:
    done = await _run(EXAMPLES[0], url, '{"text":"hello"}', kit.ECHO.subject)
    assert done.stdout.decode() == 'ok {"text":"hello","size":0,"seconds":0.0}\n', done.stderr.decode()


async def test_the_request_example_prints_an_error(url: str) -> None:
    assert (await _run(EXAMPLES[0], url, '{"text":7}', kit.ECHO.subject)).stdout.startswith(b"400 {")


async def test_the_stream_example_writes_every_byte(url: str) -> None:
    done = await _run(EXAMPLES[1], url, '{"size":100}', kit.ROWS.subject)
    assert done.stdout == kit.BLOCK * 100, done.stderr.decode()


@pytest.mark.parametrize(("operation", "size"), [(kit.BREAK, 0), (kit.BREAK, 30)])
async def test_the_stream_example_fails_when_the_service_does(url: str, operation: object, size: int) -> None:
    done = await _run(EXAMPLES[1], url, f'{{"size":{size}}}', getattr(operation, "subject", ""))
    assert done.returncode == 1
    assert b"the store went away" in done.stderr


def test_every_header_is_documented() -> None:
    elsewhere = {names.MSG_ID}  # of durable events
    headers = {value for name, value in vars(names).items() if name.isupper()} - elsewhere
    assert [header for header in headers if f"`{header}`" not in TEXT] == []


def test_the_numbers_are_those_of_the_code() -> None:
    assert streaming.WHOLE_BYTES == 512 * 1024
    assert streaming.FRAME_BYTES == 256 * 1024
    assert streaming.WINDOW_BYTES == 4 * 1024 * 1024
    assert (streaming.BEAT, streaming.SILENCE) == (2.0, 10.0)
