"""Fixtures every test may use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest

from services.kit.lifecycle import end
from services.kit.settings import Settings
from tests import containers
from tests.infra import EmbeddedServers, embedded_servers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--infra",
        choices=("embedded", "containers"),
        default="embedded",
        help="servers for the integration tests: embedded from wheels, or official images (needs Docker)",
    )


@pytest.fixture(scope="session")
def infra(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings that point at four migrated servers, started once a run; keep apart by `workspace`."""
    if request.config.getoption("--infra") == "embedded":
        yield request.getfixturevalue("servers").settings
        return
    if reason := containers.unavailable():
        pytest.skip(reason)
    with containers.servers() as settings:
        yield settings


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[EmbeddedServers]:
    """The embedded servers themselves, for tests that need their processes."""
    if request.config.getoption("--infra") != "embedded":
        pytest.skip("needs the processes of the embedded servers")
    with ExitStack() as stack:
        yield stack.enter_context(embedded_servers())


@pytest.fixture(scope="session", autouse=True)
async def no_task_holds_up_the_end() -> AsyncIterator[None]:
    """End what tests left running in the event loop. Closing the loop would wait for ever for a task that does not end:
    it is named and left behind."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    try:
        async with asyncio.timeout(5):
            await end(left)
    except TimeoutError:
        for task in left:
            if not task.done():
                print(f"still running at the end: {task!r}")
                asyncio._unregister_task(task)


@pytest.fixture
def workspace() -> UUID:
    """A workspace no other test uses."""
    return uuid4()
